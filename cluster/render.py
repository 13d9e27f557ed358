"""One render from the settings to the finished file, on a private Ray or a cluster.

Not for: the steps themselves, which live in `farm`, `scheduler` and `actors`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import av
import numpy as np

from actors.finisher import run_finisher
from actors.pool import WorkerPool
from actors.shipping import PacketShipper
from cluster.runtime import RayRuntime
from farm.decide import FaceDecision, check_processors, decide
from farm.environment import farm_version
from farm.errors import ChunkError
from farm.job_folder import JobFolder, default_job_dir, fingerprint
from farm.media.encoders import EncoderChoice, choose_encoder, intermediate_encoder
from farm.media.final import FinishReport, FinishRequest
from farm.media.hdr import read_hdr
from farm.media.index import IndexClass, VideoIndex, build_index
from farm.media.listing import FrameListing, list_frames, shown_frames
from farm.media.packets import PacketReader
from farm.media.plan import FramePlan, cut_plan, plan_frames
from farm.media.probe import check_video
from farm.memory import PeakMemory
from farm.models.hashes import sha256_of
from farm.models.session import choose_provider, execution_threads
from farm.models.store import ModelStore
from farm.observer import RenderObserver
from farm.render import ChunkResult, LostFramesError, RenderSetup
from farm.report import Damage, RenderReport, Stage, WorkerReport
from farm.settings import EncodeOn, RenderSettings
from scheduler.chunks import Chunk, cut_chunks
from scheduler.dispatch import Dispatch
from scheduler.workers import WorkerPlan, plan_workers

_SPARE_STORE_BYTES = 64 << 20


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What is added up while chunks come in."""

    faces: int = 0
    frames_without_face: int = 0
    stage_s: dict[str, float] = field(default_factory=dict)
    chunks: dict[int, int] = field(default_factory=dict)
    """By worker."""
    frames: dict[int, int] = field(default_factory=dict)
    """By worker."""
    corrupt: list[int] = field(default_factory=list)
    """Output frames that decoded with errors."""

    def add(self, worker: int, result: ChunkResult, chunk: Chunk) -> None:
        """Count a finished chunk."""
        self.faces += result.faces
        self.frames_without_face += result.frames_without_face
        self.chunks[worker] = self.chunks.get(worker, 0) + 1
        self.frames[worker] = self.frames.get(worker, 0) + result.frames
        self.corrupt += [chunk.frame_start + position for position in result.corrupt]
        for stage in (Stage.DECODE, Stage.DETECT, Stage.PROCESS, Stage.ENCODE):
            seconds = getattr(result, f"{stage.value}_s")
            self.stage_s[stage] = self.stage_s.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Frames, chunks, encoder and decisions of a job."""

    index: VideoIndex
    frames: FramePlan
    chunks: list[Chunk]
    encoder: EncoderChoice
    faces: FaceDecision
    workers: WorkerPlan
    fingerprint: str


class _Render:
    """The state of one `render_video`."""

    def __init__(
        self, settings: RenderSettings, observer: RenderObserver, span: tuple[float, int] | None
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._span = span
        self._stage_s: dict[str, float] = {}
        self._notes: list[str] = []
        self._tally = _Tally()
        self._facts: dict[int, WorkerReport] = {}
        self._render_s = 0.0

    def run(self, peak: PeakMemory) -> RenderReport:
        began = time.monotonic()
        settings = self._settings
        check_processors(settings.processors, settings.sources)
        check_video(settings.target, settings.video_stream)
        with ThreadPoolExecutor(2) as reading, ExitStack() as stack:
            indexing = reading.submit(self._index)
            digest = reading.submit(sha256_of, settings.target)
            with self._stage(Stage.START, "Ray"):
                runtime = stack.enter_context(RayRuntime(settings.address, settings.workers))
            index = indexing.result()
            plan, finish = self._with_ray(index, runtime, digest)
            self._stage_s[Stage.FINAL] = finish.encode_s + finish.final_s
            self._stage_s[Stage.VERIFY] = finish.verify_s
            self._stage_s[Stage.TOTAL] = time.monotonic() - began
        return self._report(plan, finish, digest.result(), peak)

    def _index(self) -> VideoIndex:
        """Index the file, beside the start of Ray."""
        began = time.monotonic()
        index = build_index(self._settings.target, self._settings.video_stream)
        self._stage_s[Stage.INDEX] = time.monotonic() - began
        return index

    def _with_ray(
        self, index: VideoIndex, runtime: RayRuntime, digest: Future[str]
    ) -> tuple[_Plan, FinishReport]:
        """List, plan, render and finish; once more with a listing where the index proved wrong."""
        listing = None
        if index.index_class is IndexClass.UNTRUSTED:
            listing = self._list(index)
        try:
            return self._job(index, listing, runtime, digest)
        except LostFramesError as error:
            if listing is not None:
                raise ChunkError(f"{error.message}; run the command again") from error
            self._note(f"{error.message} where the index promised it: listing all frames first")
            self._tally = _Tally()
            index = replace(
                index, index_class=IndexClass.UNTRUSTED, damage=("frames do not decode",)
            )
            return self._job(index, self._list(index), runtime, digest)

    def _list(self, index: VideoIndex) -> FrameListing:
        with self._stage(Stage.INDEX, "listing frames"):
            return list_frames(
                index, lambda n: self._observer.stage(Stage.INDEX, f"listing frames: {n}")
            )

    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> tuple[_Plan, FinishReport]:
        plan = self._plan(index, listing, runtime, digest.result())
        settings = self._settings
        folder = JobFolder(settings.job_dir or default_job_dir(settings.output), plan.fingerprint)
        try:
            self._render_chunks(plan, folder)
            report = self._finish(plan, folder)
        except BaseException:
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
        digest: str,
    ) -> _Plan:
        settings = self._settings
        frames = plan_frames(index, listing)
        if self._span is not None:
            frames = cut_plan(frames, *self._span)
        chunks = cut_chunks(index, frames, settings.chunk_seconds)
        encoder, notes = choose_encoder(
            settings.video_encoder, settings.video_quality, index.stream, hdr=_hdr(index)
        )
        resources = runtime.resources()
        with self._stage(Stage.DECIDE, "models and faces"):
            faces = self._decide(index, resources.cores)
        workers = plan_workers(
            faces.job.provider,
            resources.cores,
            resources.gpus,
            len(chunks),
            settings.workers,
            settings.execution_threads,
        )
        for note in (*frames.notes, *notes, *faces.notes):
            self._note(note)
        self._observer.planned(
            len(frames), len(chunks), workers.workers, faces.provider, workers.threads, encoder.encoder
        )
        identity = (
            farm_version(), av.__version__, digest, index.stream_index, index.stream, encoder,
            settings.encode_on, faces.job.settings, faces.job.source_embedding,
            faces.job.reference, faces.model_sha256, faces.job.provider, frames.packets.tobytes(),
            frames.times.pts.tobytes(), [(c.frame_start, c.frame_stop) for c in chunks],
        )  # fmt: skip
        return _Plan(
            index=index,
            frames=frames,
            chunks=chunks,
            encoder=encoder,
            faces=faces,
            workers=workers,
            fingerprint=fingerprint(identity),
        )

    def _decide(self, index: VideoIndex, cores: int) -> FaceDecision:
        settings = self._settings
        models = ModelStore(
            models_dir=settings.models_dir,
            overrides=settings.models,
            allow_unverified=settings.allow_unverified_models,
            progress=lambda p: self._observer.stage(
                Stage.DECIDE, f"fetching {p.name}: {p.done_bytes / max(1, p.total_bytes):.0%}"
            ),
        )
        provider = settings.execution_provider
        named = [name for name in settings.processors.names if name != "none"]
        threads = execution_threads(choose_provider(provider), cores) if named else 1
        return decide(
            settings.processors,
            settings.sources,
            models,
            provider,
            settings.execution_threads or threads,
            index,
            lambda n: self._observer.stage(Stage.DECIDE, f"looking for a face: frame {n}"),
        )

    def _render_chunks(self, plan: _Plan, folder: JobFolder) -> None:
        """Render what is not there yet."""
        by_index = {chunk.chunk_index: chunk for chunk in plan.chunks}
        ready = folder.finished([(c.frame_start, c.frame_stop) for c in plan.chunks])
        if ready:
            count = sum(header.frame_count for header in ready.values())
            self._note(f"{len(ready)} of {len(plan.chunks)} chunks were finished before: going on")
            self._observer.frames_done(count)
            for header in ready.values():
                self._tally.faces += _count(header.info, "faces")
                self._tally.frames_without_face += _count(header.info, "frames_without_face")
        todo = [chunk for chunk in plan.chunks if chunk.chunk_index not in ready]
        if not todo:
            return
        import ray

        def done(worker: int, result: ChunkResult) -> None:
            self._tally.add(worker, result, by_index[result.chunk_index])
            self._observer.frames_done(result.frames)

        began = time.monotonic()
        self._observer.stage(Stage.PROCESS, "")
        dispatch = Dispatch(todo, [int(k) for k in np.flatnonzero(plan.index.keyframes)])
        with (
            PacketReader(plan.index) as reader,
            WorkerPool(self._setup(plan, folder), plan.workers) as pool,
        ):
            shipper = PacketShipper(reader, ray.put, _SPARE_STORE_BYTES)
            pool.run(dispatch, plan.frames, shipper, done)
            memory = pool.memory_bytes()
        self._render_s = time.monotonic() - began
        for number, facts in pool.facts.items():
            self._facts[number] = WorkerReport(
                worker=f"worker-{number}",
                node=facts.node,
                provider=plan.faces.provider,
                threads=facts.threads,
                chunks=self._tally.chunks.get(number, 0),
                frames=self._tally.frames.get(number, 0),
                peak_memory_bytes=memory.get(number, 0),
            )

    def _setup(self, plan: _Plan, folder: JobFolder) -> RenderSetup:
        settings = self._settings
        on_final = settings.encode_on is EncodeOn.FINAL
        stream = plan.index.stream
        frames_dir = None
        if settings.keep_frames:
            frames_dir = settings.output.with_name(f"{settings.output.stem}-frames")
            frames_dir.mkdir(exist_ok=True)
        return RenderSetup(
            stream=stream,
            encoder=intermediate_encoder(stream) if on_final else plan.encoder,
            frame_rate=stream.frame_rate,
            fingerprint=plan.fingerprint,
            faces=plan.faces.job,
            threads=plan.workers.threads,
            decode_threads=1 if plan.index.damage else plan.workers.decode_threads,
            chunk_dir=folder.path.absolute(),
            memory_bytes=settings.max_memory_bytes,
            frames_dir=frames_dir.absolute() if frames_dir else None,
        )

    def _finish(self, plan: _Plan, folder: JobFolder) -> FinishReport:
        settings = self._settings
        self._observer.stage(Stage.FINAL, "joining")
        report = run_finisher(
            FinishRequest(
                source=settings.target.absolute(),
                video_only=self._span is not None,
                video_stream_index=plan.index.stream_index,
                output=settings.output.absolute(),
                chunk_paths=tuple(folder.chunk_path(c.chunk_index).absolute() for c in plan.chunks),
                stream=plan.index.stream,
                times=plan.frames.times,
                encoder=plan.encoder,
                encode_on=settings.encode_on,
                keep_audio=settings.keep_audio,
                private=plan.faces.private,
                verify=settings.verify,
                overwrite=settings.overwrite,
                altered_by=plan.faces.alters,
                work_dir=folder.path.absolute(),
            ),
            lambda n: self._observer.stage(Stage.FINAL, f"encoding: {n} of {len(plan.frames)}"),
        )
        for note in report.notes:
            self._note(note)
        return report

    def _report(
        self, plan: _Plan, finish: FinishReport, digest: str, peak: PeakMemory
    ) -> RenderReport:
        frames, tally = plan.frames, self._tally
        rendered = sum(tally.frames.values())
        damage = [
            Damage(time_s=frames.times.seconds(n), frames_lost=0, reason="decoded with errors")
            for n in sorted(tally.corrupt)
        ]
        if plan.index.damage:
            damage = []  # The listing has them already.
        return RenderReport(
            output=self._settings.output,
            frames=len(frames),
            faces=tally.faces,
            frames_without_face=tally.frames_without_face,
            chunks=len(plan.chunks),
            encoder=plan.encoder.encoder,
            pix_fmt=plan.encoder.pix_fmt,
            provider=plan.faces.provider,
            detector=plan.faces.detector,
            stage_s=self._stage_s | tally.stage_s,
            fps=rendered / self._render_s if self._render_s else 0.0,
            peak_memory_bytes=peak.peak_bytes,
            input_sha256=digest,
            output_sha256=finish.output_sha256,
            model_sha256=plan.faces.model_sha256,
            workers=tuple(self._facts[number] for number in sorted(self._facts)),
            damage=(*frames.damage, *damage),
            notes=tuple(self._notes),
        )

    @contextmanager
    def _stage(self, stage: Stage, detail: str) -> Iterator[None]:
        """Say that a stage begins and add up its seconds."""
        self._observer.stage(stage, detail)
        began = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - began
            self._stage_s[stage] = self._stage_s.get(stage, 0.0) + spent

    def _note(self, message: str) -> None:
        """Say something aloud and keep it for the manifest."""
        if message not in self._notes:
            self._notes.append(message)
            self._observer.note(message)


def render_video(
    settings: RenderSettings, observer: RenderObserver, *, span: tuple[float, int] | None = None
) -> RenderReport:
    """Render a video.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        span: Start in seconds and number of frames of a preview, which has no sound; None for the whole.

    Returns:
        The report; its `damage` is not empty where the source does not decode as it should.

    Raises:
        FarmError: The job cannot be done; nothing is under the output's name.
    """
    with PeakMemory() as peak:
        return _Render(settings, observer, span).run(peak)


def _hdr(index: VideoIndex) -> object:
    """Return the HDR metadata of the first frame, None where there is none."""
    frame = next(shown_frames(index), None)
    return None if frame is None else read_hdr(frame)


def _count(info: dict[str, object], name: str) -> int:
    """Return a counter of a chunk that was finished before."""
    value = info.get(name, 0)
    return value if isinstance(value, int) else 0
