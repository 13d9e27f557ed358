"""One render from the settings to the finished file, on a private Ray or a cluster.

Not for: the steps themselves, which live in `farm`, `scheduler` and `actors`, or the plan
(`cluster.plan`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from actors.finisher import RemoteFinisher
from cluster.analysis import frame_finder
from cluster.encoding import EncoderPicker, start_picker
from cluster.job import VideoJob
from cluster.orders import finish_request, render_setup
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
from farm.who import cast, gap_notes, landmark_notes
from scheduler.attempt_book import AttemptBook


def render_video(
    settings: RenderSettings,
    observer: RenderObserver,
    *,
    span: Span | None = None,
    stop: StopRequest | None = None,
    runtime: RayRuntime | None = None,
) -> RenderReport:
    """Render a video.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        span: The stretch of a preview, which has no sound; None for the whole.
        stop: Lets somebody end the render; None for nobody.
        runtime: Ray, already entered and left open; None starts or joins one by the settings.

    Returns:
        The report; its `damage` is not empty where the source does not decode as it should.

    Raises:
        Interrupted: `stop` was asked for; finished chunks are kept.
        FarmError: The job cannot be done; nothing is under the output's name.
    """
    with PeakMemory() as peak:
        asked = for_images(with_map(settings))
        render = _Render(asked, observer, span, stop or StopRequest(), peak)
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
    ) -> None:
        super().__init__(settings, observer, span, stop)
        self._began = time.monotonic()
        self._peak = peak

    def _check(self) -> None:
        check_processors(self._settings.processors, self._settings.sources)

    def _decide(self, index: VideoIndex, say: Callable[[str], None]) -> FaceDecision:
        faces = decide_faces(self._settings, index, say)
        if faces.private and self._settings.faults.on_chunk_error is OnChunkError.KEEP:
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
        return self._tally.report(plan, finish, self._settings.output, self._peak.peak_bytes)

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> RenderReport:
        picker = start_picker(self._settings, index, runtime.nodes(), runtime.home)
        plan = self._plan(index, listing, runtime, digest, picker.pick)
        folder = self._folder(plan)
        try:
            rows = self._rows(plan, folder)
            while True:
                request = finish_request(self._settings, self._span, plan, folder)
                try:
                    with RemoteFinisher(request, plan.encoding.node) as finisher:
                        self._render_chunks(plan, folder, finisher, rows)
                        self._say_content()
                        report = self._finish(plan, finisher)
                    break
                except EncoderError as error:
                    plan = self._step_down(plan, folder, picker, error)
                    folder = self._folder(plan)
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
        if self._settings.faults.keep_job and not self._span:
            folder.clear_scratch()
            folder.clear_attempts()
            self._ledger.finish()
        else:
            self._remove(folder)
        return self._report(plan, report)

    def _step_down(
        self, plan: JobPlan, folder: JobFolder, picker: EncoderPicker, error: EncoderError
    ) -> JobPlan:
        """Go on with the next encoder, keeping what can be kept.

        Raises:
            EncoderError: The one given, where there is no next encoder.
        """
        following = replace(
            plan, encoding=picker.after(plan.encoding, error, folder, plan.output, plan.nodes)
        )
        self._tally.note(
            f"{plan.encoder.encoder} broke ({error.message}): going on with "
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

    def _render_chunks(
        self, plan: JobPlan, folder: JobFolder, finisher: RemoteFinisher, rows: CastRows | None
    ) -> None:
        """Render what is not there yet; a final encoder follows as chunks are done."""
        ready = self._finished(plan, folder)
        if ready:
            count = f"{len(ready)} of {len(plan.chunks)}"
            self._tally.note(f"{count} chunks were finished before: going on")
        for header in ready.values():
            self._tally.add_finished(header)
            if header.info.get("kept"):
                self._tally.keep(plan.chunks[header.chunk_index])
            finisher.chunk_done(header.chunk_index)
        self._refuse(plan)
        todo = [chunk for chunk in plan.chunks if chunk.chunk_index not in ready]
        if not todo:
            return
        began = time.monotonic()
        self._observer.stage(Stage.PROCESS, "")
        setup = render_setup(self._settings, plan, folder)

        def done(worker: int, result: ChunkResult) -> None:
            self._tally.add(worker, result, plan.chunks[result.chunk_index].frame_start)
            self._refuse(plan)
            finisher.chunk_done(result.chunk_index)

        self._tally.book = AttemptBook(began, plan.workers.workers)
        try:
            finished = self._work(plan, setup, todo, plan.frames, done, rows)
        finally:
            ended = time.monotonic()
            self._tally.render_s += ended - began
            self._tally.worker_time = self._tally.book.worker_time(ended)
        if not finished:
            kept = len(self._finished(plan, folder))
            raise Interrupted(f"{kept} of {len(plan.chunks)} chunks are finished and kept")

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
