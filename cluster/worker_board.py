"""What each worker of a job does, for whoever watches.

Not for: the report of a finished job (`cluster.tally`) or who renders what (`scheduler.dispatch`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from farm.observer import RenderObserver, WorkerProgress
from scheduler.ledger_records import AttemptNote

_TELL_S = 0.5
_GONE = ("lost", "stopped")


@dataclass(slots=True)
class _Worker:
    node: str
    begun_s: float
    """When it was given its first chunk."""
    hands: list[int] = field(default_factory=list)
    """Chunks that it was given, the one in hand first."""
    chunks: int = 0
    frames: int = 0


class WorkerBoard:
    """Follows the attempts of a job and tells an observer, about twice a second at the most."""

    def __init__(
        self, observer: RenderObserver, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take who is told.

        Args:
            observer: Told what the workers do.
            clock: Seconds from anywhere.
        """
        self._observer = observer
        self._clock = clock
        self._workers: dict[int, _Worker] = {}
        self._told_s: float | None = None

    def note(self, note: AttemptNote) -> None:
        """Something happened to an attempt."""
        if note.outcome in _GONE:
            self._workers.pop(note.worker, None)
        elif note.outcome == "sent":
            fresh = _Worker(note.node, self._clock())
            self._workers.setdefault(note.worker, fresh).hands.append(note.chunk_index)
        elif note.worker in self._workers:
            hands = self._workers[note.worker].hands
            hands[:] = [chunk for chunk in hands if chunk != note.chunk_index]
        self._tell_now_and_then()

    def finished(self, worker: int, frames: int) -> None:
        """A worker has finished a chunk of so many output frames."""
        if worker in self._workers:
            self._workers[worker].chunks += 1
            self._workers[worker].frames += frames

    def close(self) -> None:
        """Tell how it ended: nobody has a chunk any longer."""
        for worker in self._workers.values():
            worker.hands.clear()
        self._tell()

    def _tell_now_and_then(self) -> None:
        if self._told_s is None or self._clock() - self._told_s >= _TELL_S:
            self._tell()

    def _tell(self) -> None:
        self._told_s = self._clock()
        self._observer.workers(
            tuple(self._progress(number, self._workers[number]) for number in sorted(self._workers))
        )

    def _progress(self, number: int, worker: _Worker) -> WorkerProgress:
        took_s = self._clock() - worker.begun_s
        return WorkerProgress(
            worker=f"worker-{number}",
            node=worker.node,
            chunk_index=worker.hands[0] if worker.hands else None,
            chunks=worker.chunks,
            frames=worker.frames,
            fps=round(worker.frames / took_s, 2) if took_s > 0 else 0.0,
        )
