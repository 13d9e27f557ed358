"""The choice: which chunk a worker gets next, and how many it may hold.

Not for: what follows from an event (`scheduler.dispatch`) or the lists themselves
(`scheduler.board`).
"""

from __future__ import annotations

from heapq import heappop
from itertools import islice

from scheduler.board import Board
from scheduler.hands import WorkerState

_LEASE_SHARE = 2
_LOOKS = 16


class Choice:
    """Chooses for one job; what it takes off the lists is given to the worker by the caller."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def room(self, worker: int, state: WorkerState) -> int:
        """Return how many chunks a worker may hold now."""
        board = self._board
        if board.cancelled or state.draining or board.holds_suspect(state):
            return 0
        if state.saved is not None:
            return 1
        others = board.coming + len(board.idle) - (worker in board.idle)
        if len(board.waiting) + len(board.again) <= others and not state.lease:
            return 1
        return state.depth(board.rules, board.frames_each)

    def next(self, worker: int, state: WorkerState) -> int | None:
        """Take the next chunk for a worker, None where there is none that it may have now."""
        board = self._board
        if state.saved is not None:
            position, state.saved = state.saved, None
            return position
        for position in board.again:
            if worker not in board.trouble_of(position).tried:
                return self._take_again(position, worker, state)
        if state.lease or self._lease(worker, state):
            return self._from_lease(worker, state)
        # What it failed itself comes last: a fault that sticks to the worker shows by then.
        for position in board.again:
            if self._may(worker, position):
                return self._take_again(position, worker, state)
        return None if state.hands else self._second()

    def _take_again(self, position: int, worker: int, state: WorkerState) -> int | None:
        """Take a chunk that gave trouble.

        One that may bring the worker down is rendered alone: what was promised goes to others.
        """
        board = self._board
        del board.again[position]
        if board.trouble_of(position).suspect:
            board.give_back(worker, state)
            if state.hands:
                state.saved = position
                return None
        return position

    def _from_lease(self, worker: int, state: WorkerState) -> int:
        """Take the first chunk of what is promised to a worker."""
        stretch = state.lease.popleft()
        if len(stretch) > 1:
            state.lease.appendleft(stretch[1:])
        elif not state.lease:
            self._board.leasing.pop(worker, None)
        return stretch[0]

    def _lease(self, worker: int, state: WorkerState) -> bool:
        """Promise neighbouring stretches to a worker: many in the beginning, one in the end."""
        board = self._board
        if not board.waiting:
            board.begin_ending()
            return self._take_over(worker, state)
        all_workers = len(board.workers) + board.coming
        frames = board.waiting.frames / (_LEASE_SHARE * all_workers)
        if state.frame_s:
            frames = min(frames, board.rules.lease_s / state.frame_s)
        state.lease.extend(board.waiting.take(frames if state.frame_s else 0))
        board.leasing[worker] = None
        return True

    def _take_over(self, worker: int, state: WorkerState) -> bool:
        """Take a stretch that is promised to another worker and not begun."""
        board = self._board
        if state.hands:
            return False
        for other in islice(board.leasing, _LOOKS):
            lease = board.workers[other].lease
            if self.can_spare(board.workers[other]):
                state.lease.append(lease.pop())
                if not lease:
                    del board.leasing[other]
                board.leasing[worker] = None
                return True
        return False

    def can_spare(self, state: WorkerState) -> bool:
        """Tell whether a worker is promised a stretch that it has not begun."""
        lease, held, chunks = state.lease, state.last, self._board.chunks
        if not lease:
            return False
        begun = held is not None and chunks[held].lane == chunks[lease[0][0]].lane
        return len(lease) > 1 or not begun

    def _second(self) -> int | None:
        """Choose a chunk in another worker's hands that is better begun by an idle one as well."""
        board = self._board
        while board.late and board.late[0][0] <= board.now:
            attempt = board.attempts.get(heappop(board.late)[1])
            if attempt is None or len(board.copies[attempt.position]) > 1:
                continue
            if attempt.position not in board.trouble:
                return attempt.position
        return None

    def _may(self, worker: int, position: int) -> bool:
        """Tell whether a worker may have a chunk that others failed: as long as none is better."""
        tried = self._board.trouble_of(position).tried
        if worker not in tried:
            return True
        return not any(other not in tried for other in self._some_workers(len(tried) + 1))

    def _some_workers(self, count: int) -> list[int]:
        """Return so many workers that are not draining, or all where there are fewer."""
        found: list[int] = []
        for number, state in self._board.workers.items():
            if len(found) == count:
                break
            if not state.draining:
                found.append(number)
        return found
