"""Which workers show no sign of life for too long.

Not for: asking them (`actors.crew`) or what follows (`scheduler.dispatch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from scheduler.board import Board
from scheduler.hands import WorkerState


class StallWatch:
    """Looks at each worker when its limit may have passed, and at no other time."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._due: list[tuple[float, int]] = []
        """Heap of (when to look for signs of life again, worker)."""

    def begin(self, worker: int) -> None:
        """Watch a worker that is up."""
        self._look_later(worker, self._board.now)

    def sign(self, worker: int, state: WorkerState) -> None:
        """Note a sign of life; the first one says how long they usually take."""
        first = not state.slowest_s
        state.signed(self._board.now)
        if first:
            self._look_later(worker, self._board.now)

    def stalled(self) -> Iterator[tuple[int, float]]:
        """Yield workers that are to be given up, each with its limit in seconds."""
        board = self._board
        while self._due and self._due[0][0] <= board.now:
            _, worker = heappop(self._due)
            state = board.workers.get(worker)
            if state is None:
                continue
            limit_s = state.stall_limit_s(board.rules)
            since = state.sign_s if state.hands else board.now
            if since + limit_s > board.now:
                self._look_later(worker, since)
            else:
                yield worker, limit_s

    def _look_later(self, worker: int, since: float) -> None:
        limit_s = self._board.workers[worker].stall_limit_s(self._board.rules)
        heappush(self._due, (since + limit_s, worker))
