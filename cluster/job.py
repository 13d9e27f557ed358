"""What every job on a video has in common: read, list, plan, start Ray, and find what is done.

Not for: letting workers do chunks (`cluster.chunk_run`), or what becomes of them (`cluster.render`,
`cluster.analyze`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from cluster.analysis import AnalysisPlan, make_table
from cluster.calibrate import with_shared_gpus
from cluster.chunk_run import ChunkRun
from cluster.encoding import EncoderPicker, PickEncoder, start_picker
from cluster.inventory import questions_for
from cluster.orders import render_setup
from cluster.parts import JobPart, version_of
from cluster.plan import JobPlan, Span, plan_job
from cluster.runtime import RayRuntime
from cluster.tally import Tally
from farm.background import in_background
from farm.chunk_task import ChunkResult, LostFramesError, RenderSetup
from farm.content import check_source_content
from farm.decide import FaceDecision
from farm.errors import ChunkError, Interrupted
from farm.faces.observe import Sight
from farm.faces.sight_file import read_sights, write_sights
from farm.faces.table import FaceTable
from farm.job_folder import (
    JobFolder,
    default_job_dir,
    has_work,
    make_folder,
    remove_empty,
)
from farm.media.chunk_file import ChunkHeader
from farm.media.hdr import hdr_notes
from farm.media.index import IndexClass, VideoIndex
from farm.media.listing import FrameListing
from farm.media.reading import IndexReader, read_listing
from farm.models.hashes import sha256_of
from farm.observer import RenderObserver
from farm.registry import JobRegistry, RegisteredJob
from farm.report import Stage
from farm.settings import OnChange, RenderSettings
from farm.stop import StopRequest
from scheduler.chunks import Chunk
from scheduler.ledger import Ledger
from scheduler.ledger_records import StoredChunk

Outcome = TypeVar("Outcome")


class VideoJob(ABC, Generic[Outcome]):
    """One job on one video."""

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
        self._ledger: Ledger
        self._picker: EncoderPicker
        self._relisted = False
        """Whether this run found that the index is wrong."""

    def run(self, given: RayRuntime | None) -> Outcome:
        """Start Ray while the file is read, then do the job.

        Args:
            given: Ray, already entered and left open; None starts or joins one by the settings.
        """
        settings = self._settings
        self._check()
        reader = IndexReader(settings.target, settings.video_stream, settings.limits)
        reader.check()
        mark = self._tally.start.mark
        mark("options and file checked")
        indexing = in_background(partial(_timed_index, reader), "index")
        digest = in_background(partial(sha256_of, settings.target), "digest")
        with ExitStack() as stack:
            self._ledger = stack.enter_context(Ledger(self._job_dir(), say=self._tally.note))
            with self._tally.stage(Stage.START, "Ray"):
                own = RayRuntime(settings.address, settings.workers)
                runtime = stack.enter_context(nullcontext(given) if given else own)
            self._runtime = runtime
            mark("Ray")
            try:
                index, self._tally.stage_s[Stage.INDEX] = indexing.result()
                mark("rest of the index")
                return self._with_ray(index, runtime, digest)
            finally:
                self._leave_folder()

    @abstractmethod
    def _check(self) -> None:
        """Refuse what can be refused before anything starts."""

    @abstractmethod
    def _decide(
        self, settings: RenderSettings, index: VideoIndex, say: Callable[[str], None]
    ) -> FaceDecision:
        """Decide on faces and models."""

    @abstractmethod
    def _job(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
    ) -> Outcome:
        """Plan and do it all."""

    def _with_ray(self, index: VideoIndex, runtime: RayRuntime, digest: Future[str]) -> Outcome:
        """List, and do the job; once more with a listing where the index proved wrong."""
        self._picker = start_picker(self._settings, index, runtime.nodes(), runtime.home)
        if self._ledger.listed:
            index = _distrust(index)
        listing = self._list(index) if index.index_class is IndexClass.UNTRUSTED else None
        try:
            return self._job(index, listing, runtime, digest)
        except LostFramesError as error:
            if listing is not None:
                raise ChunkError(f"{error.message}; run the command again") from error
            self._tally.note(f"{error.message} as the index promised: listing all frames")
            self._tally.begin_chunks()
            self._relisted = True
            self._ledger.note_listed()
            index = _distrust(index)
            return self._job(index, self._list(index), runtime, digest)

    def _list(self, index: VideoIndex) -> FrameListing:
        with self._tally.stage(Stage.INDEX, "listing frames"):
            return read_listing(
                index,
                lambda n: self._observer.stage(Stage.INDEX, f"listing frames: {n}"),
                any_shape=self._settings.shape.on_change is OnChange.SCALE,
                stall_s=self._settings.limits.read_stall_s,
            )

    def _plan(
        self,
        index: VideoIndex,
        listing: FrameListing | None,
        runtime: RayRuntime,
        digest: Future[str],
        settings: RenderSettings | None = None,
        pick: PickEncoder | None = None,
    ) -> JobPlan:
        """Plan the job, or a part of it with settings and an encoder of its own."""
        settings = settings or self._settings
        with self._tally.stage(Stage.DECIDE, "models and faces"):
            say = partial(self._observer.stage, Stage.DECIDE)
            mark = self._tally.start.mark
            faces = self._decide(settings, index, say)
            mark("faces and models decided")
            inventory = runtime.inventory(questions_for(settings))
            mark("nodes asked")
            plan = plan_job(
                settings,
                self._span,
                index,
                listing,
                faces,
                inventory,
                digest.result(),
                pick or self._picker.pick,
            )
            plan = with_shared_gpus(self._runtime, settings, plan, say)
            self._tally.look_at_sources(check_source_content(settings))
            mark("encoders tried, plan made")
        dynamic = plan.dynamic_hdr
        hdr = hdr_notes(index.hdr, plan.encoder.encoder, carried=dynamic.kinds if dynamic else ())
        for note in (*plan.notes, *plan.encoding.notes, *hdr):
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

    def _job_dir(self) -> Path:
        """Return the job's folder, which is made.

        Raises:
            InputError: It cannot be written.
        """
        settings = self._settings
        return make_folder(settings.job_dir or default_job_dir(settings.output))

    def _folder(self, plan: JobPlan) -> JobFolder:
        """Open the job's folder for what was asked.

        Raises:
            SettingsError: It holds finished chunks of something else.
        """
        path, settings = self._job_dir(), self._settings
        replan = settings.faults.replan or self._relisted
        version = version_of(plan, settings)
        self._ledger.begin(version, replan=replan, has_work=has_work(path))
        if self._span is None:
            job = RegisteredJob(
                job_id=self._ledger.job_id,
                folder=path.absolute(),
                output=settings.output.absolute(),
                target=settings.target.absolute(),
            )
            JobRegistry().add(job)
        return JobFolder(path, plan.fingerprint, plan.request)

    def _finished(self, part: JobPart) -> dict[int, ChunkHeader]:
        """Return the chunks of a part that need not be rendered again, by number."""
        self._ledger.flush()
        noted, plan = self._ledger.chunks(), part.plan
        sha256 = {n: c.sha256 for n, c in noted.items() if c.fingerprint == plan.fingerprint}
        ranges = [(chunk.frame_start, chunk.frame_stop) for chunk in plan.chunks]
        found = part.folder.finished(ranges, sha256, part.chunks)
        self._ledger.forget([n for n in noted if n in part.chunks and n not in found])
        for number, header in found.items():
            if number not in noted:
                self._ledger.store(_stored(header))
        return found

    def _remove(self, folder: JobFolder) -> None:
        """Delete the job's folder, its ledger last used."""
        self._ledger.close()
        folder.remove()

    def _leave_folder(self) -> None:
        """Give the lease back; what attempts left that nobody accepted is deleted."""
        job_id, path = self._ledger.job_id, self._ledger.path.parent
        self._ledger.close()
        if not has_work(path) and not self._ledger.lost:
            remove_empty(path)
        if not path.is_dir():
            JobRegistry().remove(job_id)

    def _work(self, plan: JobPlan, setup: RenderSetup) -> ChunkRun:
        """What lets workers do chunks of a plan."""
        return ChunkRun(
            self._settings,
            plan,
            setup,
            runtime=self._runtime,
            observer=self._observer,
            stop=self._stop,
            tally=self._tally,
            ledger=self._ledger,
        )

    def _analyse(self, plan: JobPlan, analysis: AnalysisPlan, folder: JobFolder) -> FaceTable:
        """Look at the clip, as far as it was not looked at before, and make its face table."""
        chunks = analysis.chunks
        seen = seen_before(chunks, folder, plan.pixels)
        todo = [chunk for chunk in chunks if chunk.chunk_index not in seen]
        total = sum(chunk.frame_count for chunk in chunks)

        def done(_worker: int, result: ChunkResult) -> None:
            chunk = chunks[result.chunk_index]
            path = folder.sights_path(chunk.chunk_index)
            write_sights(path, plan.pixels, chunk.frame_start, result.sights)
            seen[chunk.chunk_index] = result.sights
            self._tally.add_analysis(result)
            looked = sum(len(sights) for sights in seen.values())
            self._observer.stage(Stage.ANALYSE, f"faces: frame {looked} of {total}")

        with self._tally.stage(Stage.ANALYSE, "faces"):
            setup = replace(render_setup(self._settings, plan, folder), analyse=True)
            if todo and not self._work(plan, setup).run(todo, analysis.frames, done):
                raise Interrupted(f"{len(seen)} of {len(chunks)} chunks are looked at and kept")
        job = plan.faces.job.analysis
        return make_table(
            plan.clip,
            chunks,
            seen,
            analysis.settings,
            detector=plan.faces.detector,
            recognises=job is not None and job.recognises,
        )


def seen_before(chunks: Sequence[Chunk], folder: JobFolder, job: str) -> dict[int, list[Sight]]:
    """Return what an earlier run of the job has seen, by chunk."""
    found = {
        chunk.chunk_index: read_sights(
            folder.sights_path(chunk.chunk_index), job, chunk.frame_start, chunk.frame_count
        )
        for chunk in chunks
    }
    return {number: sights for number, sights in found.items() if sights is not None}


def _distrust(index: VideoIndex) -> VideoIndex:
    """Return the index of a file whose frames must be listed, though it looks well."""
    return replace(
        index,
        index_class=IndexClass.UNTRUSTED,
        damage=index.damage or ("some frames do not decode cleanly",),
    )


def _stored(header: ChunkHeader) -> StoredChunk:
    """Return what is known of a chunk whose end nobody noted."""
    token = header.info.get("token")
    return StoredChunk(
        chunk_index=header.chunk_index,
        fingerprint=header.fingerprint,
        token=token if isinstance(token, int) else 0,
        sha256="",
    )


def _timed_index(reader: IndexReader) -> tuple[VideoIndex, float]:
    """Wait for the index of a file and return the seconds that it took."""
    began = time.monotonic()
    return reader.index(), time.monotonic() - began
