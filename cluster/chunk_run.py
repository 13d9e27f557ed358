"""Letting workers do chunks until all are done, and taking what they give.

Not for: planning (`cluster.job`), or which worker does which chunk (`scheduler.dispatch`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import ray

from actors.metrics import AttemptMetrics
from actors.nodes import store_bytes
from actors.shipping import PacketShipper
from cluster.crew import crew
from cluster.inventory import questions_for
from cluster.orders import rules_of
from cluster.plan import JobPlan
from cluster.runtime import RayRuntime
from cluster.tally import Tally
from cluster.worker_board import WorkerBoard
from farm.chunk_task import ChunkResult, LostFramesError, RenderSetup, attempt_name
from farm.faces.casting import CastRows
from farm.job_folder import accept_attempt
from farm.media.index import IndexClass
from farm.media.packets import PacketReader
from farm.media.plan import FramePlan
from farm.observer import RenderObserver
from farm.report import Stage
from farm.settings import RenderSettings
from farm.stop import StopRequest
from scheduler.chunks import Chunk
from scheduler.dispatch import Dispatch
from scheduler.ledger import Ledger
from scheduler.ledger_records import AttemptNote, StoredChunk

SPARE_STORE_BYTES = 4 << 20
STORE_SHARE = 4
"""Packets ahead take no more than the share of the store that this divides it into."""

Done = Callable[[int, ChunkResult], None]
"""Called with worker and result of each chunk."""


class ChunkRun:
    """Chunks of one plan on workers: rendered, or looked at for its face table."""

    def __init__(
        self,
        settings: RenderSettings,
        plan: JobPlan,
        setup: RenderSetup,
        *,
        runtime: RayRuntime,
        observer: RenderObserver,
        stop: StopRequest,
        tally: Tally,
        ledger: Ledger,
    ) -> None:
        """Take the job.

        Args:
            settings: What was asked for.
            plan: What was planned.
            setup: What the workers must know.
            runtime: Ray, entered.
            observer: Told what happens.
            stop: Lets somebody end it.
            tally: Adds up.
            ledger: Of the job.
        """
        self._settings, self._plan, self._setup = settings, plan, setup
        self._runtime, self._observer, self._stop = runtime, observer, stop
        self._tally, self._ledger = tally, ledger
        self._board, self._ended = WorkerBoard(observer), AttemptMetrics()

    def run(
        self, todo: Sequence[Chunk], frames: FramePlan, done: Done, rows: CastRows | None = None
    ) -> bool:
        """Let workers do chunks until all are done or the user wants it to end.

        Args:
            todo: The chunks.
            frames: The plan that the chunks were cut from.
            done: Called with worker and result of each chunk.
            rows: The face table, None without one.

        Returns:
            Whether all were done.
        """
        dispatch = Dispatch(
            todo,
            np.flatnonzero(self._plan.index.keyframes).tolist(),
            rules_of(self._settings.faults),
            workers=self._plan.workers.workers,
            run=self._ledger.run,
        )
        self._stop.can_drain = True
        try:
            self._hire(dispatch, frames, done, rows)
        finally:
            self._stop.can_drain = False
            self._board.close()
        return dispatch.finished

    def _hire(
        self, dispatch: Dispatch, frames: FramePlan, done: Done, rows: CastRows | None
    ) -> None:
        """Let workers do what the dispatch core says."""

        def checked(worker: int, result: ChunkResult) -> None:
            self._take(result)
            self._board.finished(worker, result.frames)
            done(worker, result)

        say = partial(self._observer.stage, Stage.PROCESS)
        questions = questions_for(self._settings)
        note = self._tally.note
        hired = crew(self._runtime, self._plan, self._setup, rows, questions, note, say)
        with PacketReader(self._plan.index) as reader, hired as pool:
            self._tally.start.mark("folder, models sent, workers asked for")
            most_bytes = store_bytes() // STORE_SHARE
            shipper = PacketShipper(reader, ray.put, SPARE_STORE_BYTES, most_bytes)
            pool.run(dispatch, frames, shipper, checked, self._asked_to_stop, self._noted)
            networks = bool(self._plan.faces.model_sha256)
            self._tally.add_workers(pool.facts, pool.memory_bytes(), networks=networks)

    def _noted(self, note: AttemptNote) -> None:
        """Write down what happened to an attempt."""
        self._board.note(note)
        if note.outcome == "sent":
            self._tally.start.mark("first worker up")
        if self._setup.analyse:
            return
        self._tally.book.note(note, time.monotonic())
        self._ended.note(note.outcome)
        self._ledger.note(note)
        if note.outcome not in ("sent", "done"):
            left = self._folder / attempt_name(note.chunk_index, note.token)
            left.unlink(missing_ok=True)

    def _take(self, result: ChunkResult) -> None:
        """Take the file of an attempt that counts for its chunk.

        Raises:
            LostFramesError: The index promised other frames.
        """
        if result.corrupt and self._plan.index.index_class is IndexClass.TRUSTED:
            # Only one thread conceals errors the same way each time: see `VideoJob`.
            raise LostFramesError(f"frame {result.corrupt[0]} is damaged")
        if result.token is None or self._setup.analyse:
            return
        self._ledger.check_lease()
        accept_attempt(self._folder, result.chunk_index, result.token)
        chunk = StoredChunk(
            chunk_index=result.chunk_index,
            fingerprint=self._plan.fingerprint,
            token=result.token,
            sha256=result.sha256,
        )
        self._ledger.store(chunk)
        if result.kept:
            self._tally.keep(self._plan.chunks[result.chunk_index])

    @property
    def _folder(self) -> Path:
        return self._setup.chunk_dir

    def _asked_to_stop(self) -> bool:
        """Tell whether no further chunk is to be begun, and say so the first time."""
        if self._stop.asked:
            self._tally.note("finishing the chunks in hand; Ctrl-C again stops at once")
        return self._stop.asked
