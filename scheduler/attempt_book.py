"""What became of each attempt, and how much time of workers came to nothing.

Pure: the times come from outside. Not for: what must outlive the driver (`scheduler.ledger`) or
what stages took (`farm.spans`).
"""

from __future__ import annotations

from collections import Counter, deque

from farm.report import LostAttempt, WorkerTime
from scheduler.ledger_records import AttemptNote

_GONE = ("lost", "stopped")
"""The worker ended with the attempt."""
_NOTHING = (*_GONE, "failed")
"""Outcomes of attempts whose time came to nothing."""
_NO_FAULT = ("sent", "done", "dropped")
"""`dropped`: somebody else was first."""


class AttemptBook:
    """The attempts of one render."""

    def __init__(self, begin_s: float = 0.0, seats: int = 0) -> None:
        """Begin a book.

        Args:
            begin_s: When the workers were started.
            seats: How many; further ones may join.
        """
        self._begin_s, self._seats = begin_s, seats
        self._sent: dict[int, float] = {}
        """When an attempt was sent, by token, while nobody has answered."""
        self._tries: Counter[int] = Counter()
        """By chunk."""
        self._up: dict[int, float] = {}
        """When a worker was first given a chunk."""
        self._free: dict[int, float] = {}
        """When a worker's last answer came."""
        self._gone: dict[int, float] = {}
        self._faults: list[LostAttempt] = []

    def note(self, note: AttemptNote, now_s: float) -> None:
        """Take what happened to an attempt.

        Args:
            note: What happened.
            now_s: When, on the clock of `begin_s`.
        """
        worker = note.worker
        if note.outcome == "sent":
            self._sent[note.token] = now_s
            self._tries[note.chunk_index] += 1
            self._up.setdefault(worker, now_s)
            return
        # A worker does one attempt at a time: this one's turn came when the one before had ended.
        since_s = max(self._sent.pop(note.token, now_s), self._free.get(worker, 0.0))
        self._free[worker] = now_s
        if note.outcome in _GONE:
            self._gone.setdefault(worker, now_s)
        if note.outcome not in _NO_FAULT:
            self._faults.append(
                LostAttempt(
                    chunk_index=note.chunk_index,
                    worker=f"worker-{worker}",
                    node=note.node,
                    outcome=note.outcome,
                    seconds=round(max(0.0, now_s - since_s), 3),
                )
            )

    def tries(self, chunk_index: int) -> int:
        """How often a chunk was sent to a worker."""
        return self._tries[chunk_index]

    @property
    def faults(self) -> tuple[LostAttempt, ...]:
        """Attempts that somebody had to repeat, in order."""
        return tuple(self._faults)

    def worker_time(self, end_s: float) -> WorkerTime:
        """Where the time of the workers' places went until `end_s`."""
        first = sorted(self._up.values())[: self._seats]
        starting_s = sum(up_s - self._begin_s for up_s in first)
        starting_s += (end_s - self._begin_s) * (self._seats - len(first))
        present_s = sum(self._gone.get(w, end_s) - up_s for w, up_s in self._up.items())
        absent_s = self._absent_s(end_s)
        wasted_s = sum(each.seconds for each in self._faults if each.outcome in _NOTHING)
        return WorkerTime(
            places_s=round(starting_s + present_s + absent_s, 3),
            starting_s=round(starting_s, 3),
            lost_s=round(wasted_s + absent_s, 3),
        )

    def _absent_s(self, end_s: float) -> float:
        """How long the places of workers that ended stayed empty."""
        later = deque(sorted(self._up.values())[self._seats :])
        absent_s = 0.0
        for gone_s in sorted(self._gone.values()):
            while later and later[0] < gone_s:
                later.popleft()  # Of a node that joined.
            absent_s += (later.popleft() if later else end_s) - gone_s
        return absent_s
