"""One render from the settings to the finished file, on a private Ray or a cluster.

Not for: the steps themselves, which live in `farm`, `scheduler` and `actors`, or the plan
(`cluster.plan`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace

from actors.finisher import RemoteFinisher
from cluster.analysis import frame_finder
from cluster.job import VideoJob
from cluster.orders import finish_request, render_setup
from cluster.parts import (
    Again,
    JobPart,
    check_joins,
    chunks_within,
    other_settings,
    owners,
    version_of,
)
from cluster.plan import JobPlan, Span, decide_faces
from cluster.runtime import RayRuntime
from farm.chunk_task import ChunkResult, LostFramesError
from farm.content import refusal
from farm.decide import FaceDecision, check_processors
from farm.errors import ContentError, EncoderError, InputError, Interrupted, SettingsError
from farm.face_map import with_map
from farm.faces.casting import CastRows
from farm.fault_settings import OnChunkError
from farm.image_names import is_sequence
from farm.job_folder import JobFolder
from farm.media.final import FinishReport
from farm.media.index import VideoIndex
from farm.media.listing import FrameListing
from farm.memory import PeakMemory
from farm.observer import RenderObserver
from farm.report import RenderReport, Stage
from farm.settings import EncodeOn, EncoderSettings, RenderSettings
from farm.stop import StopRequest
from farm.stored_settings import restore_settings
from farm.who import cast, gap_notes, landmark_notes
from scheduler.attempt_book import AttemptBook
from scheduler.ledger_records import Stretch


def render_video(
    settings: RenderSettings,
    observer: RenderObserver,
    *,
    span: Span | None = None,
    stop: StopRequest | None = None,
    runtime: RayRuntime | None = None,
    finished: Callable[[RenderReport], None] = lambda _: None,
    again: Again | None = None,
) -> RenderReport:
    """Render a video.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        span: The stretch of a preview, which has no sound; None for the whole.
        stop: Lets somebody end the render; None for nobody.
        runtime: Ray, already entered and left open; None starts or joins one by the settings.
        finished: Called when the output is in place, while the job's folder is still there.
        again: A stretch that is rendered again with settings of its own; None for nothing.

    Returns:
        The report; its `damage` is not empty where the source does not decode as it should.

    Raises:
        Interrupted: `stop` was asked for; finished chunks are kept.
        FarmError: The job cannot be done; nothing is under the output's name.
    """
    with PeakMemory() as peak:
        asked = for_images(with_map(settings))
        if again is not None:
            again = replace(again, settings=for_images(with_map(again.settings)))
        render = _Render(asked, observer, span, stop or StopRequest(), peak, finished, again)
        return render.run(runtime)


def for_images(settings: RenderSettings) -> RenderSettings:
    """The settings where the output is images: chunks are lossless, and nothing else encodes."""
    if not is_sequence(settings.output):
        return settings
    return replace(
        settings,
        video_encoder="ffv1",
        video_quality=0,
        encode_on=EncodeOn.WORKER,
        encoding=EncoderSettings(),
        keep_audio=False,
    )


class _Render(VideoJob[RenderReport]):
    """The state of one `render_video`."""

    def __init__(
        self,
        settings: RenderSettings,
        observer: RenderObserver,
        span: Span | None,
        stop: StopRequest,
        peak: PeakMemory,
        finished: Callable[[RenderReport], None],
        again: Again | None,
    ) -> None:
        super().__init__(settings, observer, span, stop)
        self._began = time.monotonic()
        self._peak = peak
        self._when_finished = finished
        self._again = again
        self._parts: list[JobPart] = []
        """The rest, then each stretch with settings of its own."""

    def _check(self) -> None:
        check_processors(self._settings.processors, self._settings.sources)

    def _decide(
        self, settings: RenderSettings, index: VideoIndex, say: Callable[[str], None]
    ) -> FaceDecision:
        faces = decide_faces(settings, index, say)
        if faces.private and settings.faults.on_chunk_error is OnChunkError.KEEP:
            raise SettingsError(
                "--on-chunk-error keep: would show faces that are to be anonymised; leave it out"
            )
        return faces

    def _report(self, plan: JobPlan, finish: FinishReport) -> RenderReport:
        """Return the report of the finished render."""
        stage_s = self._tally.stage_s
        stage_s[Stage.FINAL] = finish.encode_s + finish.final_s
        stage_s[Stage.VERIFY] = finish.verify_s
        stage_s[Stage.TOTAL] = time.monotonic() - self._began
        report = self._tally.report(plan, finish, self._settings.output, self._peak.peak_bytes)
        return replace(
            report,
            other_settings=other_settings(self._parts),
            private=report.private or any(other.faces.private for other in self._others),
            model_sha256=report.model_sha256 | _joined(p.faces.model_sha256 for p in self._others),
            model_licence=report.model_licence
            | _joined(p.faces.model_licence for p in self._others),
        )

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> RenderReport:
        plan = self._plan(index, listing, runtime, digest)
        folder = self._folder(plan)

        def plan_part(settings: RenderSettings) -> JobPlan:
            mine = for_images(settings)
            return self._plan(index, listing, runtime, digest, mine, lambda *_: plan.encoding)

        self._parts = self._plan_parts(plan, folder, plan_part)
        try:
            while True:
                request = finish_request(self._settings, self._span, plan, folder, self._others)
                try:
                    with RemoteFinisher(request, plan.encoding.node) as finisher:
                        self._render_parts(finisher)
                        self._say_content()
                        made = self._finish(plan, finisher)
                    break
                except EncoderError as error:
                    plan = self._step_down(plan, folder, error)
                    folder = self._folder(plan)
                    self._parts = [part.encoded_by(plan.encoding) for part in self._parts]
        except (InputError, ContentError):
            self._remove(folder)
            raise
        except LostFramesError:
            # The job begins anew with a listing: its ledger stays open.
            folder.remove_final_dir()
            folder.clear_attempts()
            raise
        except BaseException:
            # Other errors may be gone the next time: what was rendered is kept.
            folder.remove_final_dir()
            folder.clear_attempts()
            if not folder.has_chunks or self._span:
                self._remove(folder)
            raise
        report = self._report(plan, made)
        self._when_finished(report)
        self._ledger.finish()
        if self._settings.faults.keep_job and not self._span:
            folder.clear_scratch()
            folder.clear_attempts()
        else:
            self._remove(folder)
        return report

    def _step_down(self, plan: JobPlan, folder: JobFolder, error: EncoderError) -> JobPlan:
        """Go on with the next encoder, keeping what can be kept.

        Raises:
            EncoderError: The one given, where there is no next encoder.
        """
        following = replace(
            plan, encoding=self._picker.after(plan.encoding, error, folder, plan.output, plan.nodes)
        )
        self._tally.note(
            f"{plan.encoder.encoder} broke ({error.message.partition('; ')[0]}): going on with "
            f"{following.encoder.encoder}, and finished chunks are not rendered again"
        )
        self._tally.begin_chunks()
        self._say_plan(following)
        return following

    def _rows(self, plan: JobPlan, folder: JobFolder) -> CastRows | None:
        """Return the rows of the face table, None where the render finds its faces itself."""
        table = plan.table
        if plan.analysis is not None:
            table = self._analyse(plan, plan.analysis, folder)
        if table is None or plan.faces.wanted is None:
            return None
        casting, notes = cast(plan.faces.wanted, table, frame_finder(plan.frames.times))
        for note in (*notes, *landmark_notes(plan.faces.wanted, table), *gap_notes(table)):
            self._tally.note(note)
        self._tally.gaps = table.gaps
        return CastRows(table, casting)

    @property
    def _others(self) -> list[JobPlan]:
        """The plans of stretches with settings of their own."""
        return [part.plan for part in self._parts[1:]]

    def _plan_parts(
        self, plan: JobPlan, folder: JobFolder, plan_part: Callable[[RenderSettings], JobPlan]
    ) -> list[JobPart]:
        """Plan each stretch that was ever asked for again, after what is asked now.

        Raises:
            SettingsError: A stretch does not fit the rest, or would not be made as it was.
        """
        plans = {plan.request: plan}
        settings = {plan.request: self._settings}
        if self._again is not None:
            other = plan_part(self._again.settings)
            check_joins(plan, other)
            within = chunks_within(plan, self._again)
            stretch = Stretch(
                chunk_start=within.start, chunk_stop=within.stop, fingerprint=other.request
            )
            version = version_of(other, self._again.settings)
            self._ledger.begin(version, replan=False, has_work=True, stretch=stretch)
            plans.setdefault(other.request, other)
            settings.setdefault(other.request, self._again.settings)
        parts = []
        versions = self._ledger.versions()
        for request, chunks in owners(
            plan.request, self._ledger.stretches(), len(plan.chunks)
        ).items():
            if request not in plans:
                settings[request] = restore_settings(versions[request].settings)
                plans[request] = plan_part(settings[request])
                check_joins(plan, plans[request])
            mine = plans[request]
            if mine.request != request:
                raise SettingsError(
                    f"{folder.path}: a stretch that was rendered again would come out in another "
                    "way now; ask for it once more with `facefarm jobs rerender`, or start anew "
                    "with --replan"
                )
            parts.append(
                JobPart(
                    settings=settings[request],
                    plan=mine,
                    folder=JobFolder(folder.path, mine.fingerprint, mine.request),
                    chunks=frozenset(chunks),
                )
            )
        if len(parts) > 1:
            self._say_plan(plan)
        return parts

    def _render_parts(self, finisher: RemoteFinisher) -> None:
        """Render what is not there yet; a final encoder follows as chunks are done."""
        ready = [self._finished(part) for part in self._parts]
        total = sum(len(part.chunks) for part in self._parts)
        if count := sum(map(len, ready)):
            self._tally.note(f"{count} of {total} chunks were finished before: going on")
        for part, headers in zip(self._parts, ready, strict=True):
            for header in headers.values():
                self._tally.add_finished(header)
                if header.info.get("kept"):
                    self._tally.keep(part.plan.chunks[header.chunk_index])
                finisher.chunk_done(header.chunk_index)
        self._refuse(self._parts[0].plan)
        for part, headers in zip(self._parts, ready, strict=True):
            if not self._render_part(part, part.chunks - headers.keys(), finisher):
                kept = sum(len(self._finished(each)) for each in self._parts)
                raise Interrupted(f"{kept} of {total} chunks are finished and kept")

    def _render_part(
        self, part: JobPart, missing: frozenset[int], finisher: RemoteFinisher
    ) -> bool:
        """Render chunks of a part; whether all were done."""
        plan = part.plan
        todo = [chunk for chunk in plan.chunks if chunk.chunk_index in missing]
        if not todo:
            return True
        rows = self._rows(plan, part.folder)
        began = time.monotonic()
        self._observer.stage(Stage.PROCESS, "")
        setup = render_setup(part.settings, plan, part.folder)

        def done(worker: int, result: ChunkResult) -> None:
            self._tally.add(worker, result, plan.chunks[result.chunk_index].frame_start)
            self._refuse(plan)
            finisher.chunk_done(result.chunk_index)

        self._tally.book = AttemptBook(began, plan.workers.workers)
        try:
            return self._work(plan, setup).run(todo, plan.frames, done, rows)
        finally:
            ended = time.monotonic()
            self._tally.render_s += ended - began
            self._tally.worker_time = self._tally.book.worker_time(ended)

    def _say_content(self) -> None:
        if self._settings.nsfw_filter:
            self._tally.note(self._tally.content.note)

    def _refuse(self, plan: JobPlan) -> None:
        """End the job where the content filter refuses what has been seen so far."""
        content = self._tally.content
        if content.refused:
            at_s = float(plan.frames.times.seconds(content.worst_frame))
            raise refusal(f"{self._settings.target} at {at_s:.1f} s", content.worst)

    def _finish(self, plan: JobPlan, finisher: RemoteFinisher) -> FinishReport:
        self._observer.stage(Stage.FINAL, "joining")
        report = finisher.run(
            lambda n: self._observer.stage(
                Stage.FINAL, f"encoding: {n} of {len(plan.frames.output)}" if n else "joining"
            ),
        )
        for note in report.notes:
            self._tally.note(note)
        return report


def _joined(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return all that stands in any of the tables."""
    return {name: value for table in tables for name, value in table.items()}
