"""One render from the settings to the finished file, on a private Ray or a cluster.

Not for: the steps themselves, which live in `farm`, `scheduler` and `actors`, or the plan
(`cluster.plan`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import ray

from actors.finisher import RemoteFinisher
from actors.pool import WorkerPool
from actors.shipping import PacketShipper
from cluster.encoding import EncoderPicker, start_picker
from cluster.inventory import questions_for
from cluster.orders import finish_request, render_setup
from cluster.plan import JobPlan, Span, decide_faces, plan_job
from cluster.runtime import RayRuntime
from cluster.tally import Tally
from farm.chunk_task import ChunkResult, LostFramesError
from farm.content import check_source_content, refusal
from farm.decide import check_processors
from farm.errors import ChunkError, ContentError, EncoderError, InputError, Interrupted
from farm.image_names import is_sequence
from farm.job_folder import JobFolder, default_job_dir
from farm.media.final import FinishReport
from farm.media.index import IndexClass, VideoIndex, build_index
from farm.media.listing import FrameListing, list_frames
from farm.media.packets import PacketReader
from farm.media.probe import check_video
from farm.memory import PeakMemory
from farm.models.hashes import sha256_of
from farm.observer import RenderObserver
from farm.report import RenderReport, Stage
from farm.settings import EncodeOn, EncoderSettings, OnChange, RenderSettings
from farm.stop import StopRequest
from scheduler.dispatch import Dispatch

Value = TypeVar("Value")
_SPARE_STORE_BYTES = 16 << 20


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
        render = _Render(for_images(settings), observer, span, stop or StopRequest())
        return render.run(runtime, peak)


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


class _Render:
    """The state of one `render_video`."""

    def __init__(
        self,
        settings: RenderSettings,
        observer: RenderObserver,
        span: Span | None,
        stop: StopRequest,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._span = span
        self._stop = stop
        self._tally = Tally(observer)

    def run(self, given: RayRuntime | None, peak: PeakMemory) -> RenderReport:
        """Start Ray while the file is read, then do the job."""
        began, settings = time.monotonic(), self._settings
        check_processors(settings.processors, settings.sources)
        check_video(settings.target, settings.video_stream)
        indexing = _in_background(partial(_timed_index, settings.target, settings.video_stream))
        digest = _in_background(partial(sha256_of, settings.target))
        with ExitStack() as stack:
            with self._tally.stage(Stage.START, "Ray"):
                own = RayRuntime(settings.address, settings.workers)
                runtime = stack.enter_context(nullcontext(given) if given else own)
            index, self._tally.stage_s[Stage.INDEX] = indexing.result()
            plan, finish = self._with_ray(index, runtime, digest)
        self._tally.stage_s[Stage.FINAL] = finish.encode_s + finish.final_s
        self._tally.stage_s[Stage.VERIFY] = finish.verify_s
        self._tally.stage_s[Stage.TOTAL] = time.monotonic() - began
        return self._tally.report(plan, finish, settings.output, peak.peak_bytes)

    def _with_ray(
        self, index: VideoIndex, runtime: RayRuntime, digest: Future[str]
    ) -> tuple[JobPlan, FinishReport]:
        """List, plan, render and finish; once more with a listing where the index proved wrong."""
        listing = self._list(index) if index.index_class is IndexClass.UNTRUSTED else None
        try:
            return self._job(index, listing, runtime, digest)
        except LostFramesError as error:
            if listing is not None:
                raise ChunkError(f"{error.message}; run the command again") from error
            self._tally.note(f"{error.message} as the index promised: listing all frames")
            self._tally.begin_chunks()
            index = replace(
                index,
                index_class=IndexClass.UNTRUSTED,
                damage=("some frames do not decode cleanly",),
            )
            return self._job(index, self._list(index), runtime, digest)

    def _list(self, index: VideoIndex) -> FrameListing:
        with self._tally.stage(Stage.INDEX, "listing frames"):
            return list_frames(
                index,
                lambda n: self._observer.stage(Stage.INDEX, f"listing frames: {n}"),
                any_shape=self._settings.shape.on_change is OnChange.SCALE,
            )

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> tuple[JobPlan, FinishReport]:
        picker = start_picker(self._settings, index, runtime.nodes(), runtime.home)
        plan = self._plan(index, listing, runtime, digest, picker)
        folder = self._folder(plan)
        try:
            while True:
                request = finish_request(self._settings, self._span, plan, folder)
                try:
                    with RemoteFinisher(request, plan.encoding.node) as finisher:
                        self._render_chunks(plan, folder, finisher)
                        self._say_content()
                        report = self._finish(plan, finisher)
                    break
                except EncoderError as error:
                    plan = self._step_down(plan, folder, picker, error)
                    folder = self._folder(plan)
        except (InputError, ContentError):
            folder.remove()
            raise
        except BaseException:
            # Other errors may be gone the next time: what was rendered is kept.
            folder.remove_final_dir()
            if not folder.has_chunks or self._span:
                folder.remove()
            raise
        folder.remove()
        return plan, report

    def _plan(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
        picker: EncoderPicker,
    ) -> JobPlan:
        settings = self._settings
        with self._tally.stage(Stage.DECIDE, "models and faces"):
            say = partial(self._observer.stage, Stage.DECIDE)
            faces = decide_faces(settings, index, say)
            inventory = runtime.inventory(questions_for(settings))
            plan = plan_job(
                settings,
                self._span,
                index,
                listing,
                faces,
                inventory,
                digest.result(),
                picker.pick,
            )
            self._tally.look_at_sources(check_source_content(settings))
        for note in (*plan.notes, *plan.encoding.notes):
            self._tally.note(note)
        self._say_plan(plan)
        return plan

    def _say_plan(self, plan: JobPlan) -> None:
        self._observer.planned(
            len(plan.frames.output),
            len(plan.chunks),
            plan.workers.workers,
            plan.provider,
            plan.workers.seats[0].threads,
            plan.encoder.encoder,
        )

    def _folder(self, plan: JobPlan) -> JobFolder:
        settings = self._settings
        path = settings.job_dir or default_job_dir(settings.output)
        return JobFolder(path, plan.fingerprint, plan.request)

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

    def _render_chunks(self, plan: JobPlan, folder: JobFolder, finisher: RemoteFinisher) -> None:
        """Render what is not there yet; a final encoder follows as chunks are done."""
        ready = folder.finished([(c.frame_start, c.frame_stop) for c in plan.chunks])
        if ready:
            count = f"{len(ready)} of {len(plan.chunks)}"
            self._tally.note(f"{count} chunks were finished before: going on")
        for header in ready.values():
            self._tally.add_finished(header)
            finisher.chunk_done(header.chunk_index)
        self._refuse(plan)
        todo = [chunk for chunk in plan.chunks if chunk.chunk_index not in ready]
        if not todo:
            return
        began = time.monotonic()
        self._observer.stage(Stage.PROCESS, "")
        keyframes = np.flatnonzero(plan.index.keyframes).tolist()
        dispatch = Dispatch(todo, keyframes, workers=plan.workers.workers)
        try:
            self._stop.can_drain = True
            self._run_pool(plan, folder, dispatch, finisher)
        finally:
            self._stop.can_drain = False
        self._tally.render_s += time.monotonic() - began
        if not dispatch.finished:
            done = len(folder.finished([(c.frame_start, c.frame_stop) for c in plan.chunks]))
            raise Interrupted(f"{done} of {len(plan.chunks)} chunks are finished and kept")

    def _run_pool(
        self, plan: JobPlan, folder: JobFolder, dispatch: Dispatch, finisher: RemoteFinisher
    ) -> None:
        """Let workers render until all is done or the user wants it to end."""

        def done(worker: int, result: ChunkResult) -> None:
            if result.corrupt and plan.index.index_class is IndexClass.TRUSTED:
                # Only one thread conceals errors the same way each time: see `_with_ray`.
                raise LostFramesError(f"frame {result.corrupt[0]} is damaged")
            self._tally.add(worker, result)
            self._refuse(plan)
            finisher.chunk_done(result.chunk_index)

        setup = render_setup(self._settings, plan, folder)
        with PacketReader(plan.index) as reader, WorkerPool(setup, plan.workers) as pool:
            shipper = PacketShipper(reader, ray.put, _SPARE_STORE_BYTES)
            pool.run(dispatch, plan.frames, shipper, done, self._asked_to_stop)
            memory = pool.memory_bytes()
        self._tally.add_workers(pool.facts, memory, networks=bool(plan.faces.model_sha256))

    def _say_content(self) -> None:
        if self._settings.nsfw_filter:
            self._tally.note(self._tally.content.note)

    def _refuse(self, plan: JobPlan) -> None:
        """End the job where the content filter refuses what has been seen so far."""
        content = self._tally.content
        if content.refused:
            at_s = float(plan.frames.times.seconds(content.worst_frame))
            raise refusal(f"{self._settings.target} at {at_s:.1f} s", content.worst)

    def _asked_to_stop(self) -> bool:
        """Tell whether no further chunk is to be begun, and say so the first time."""
        if self._stop.asked:
            self._tally.note("finishing the chunks in hand; Ctrl-C again stops at once")
        return self._stop.asked

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


def _timed_index(path: Path, video_stream: int | None) -> tuple[VideoIndex, float]:
    """Index a file and return the seconds that it took."""
    began = time.monotonic()
    return build_index(path, video_stream), time.monotonic() - began


def _in_background(work: Callable[[], Value]) -> Future[Value]:
    """Run something on a thread that an early end of the command need not wait for."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name="reading", daemon=True).start()
    return future
