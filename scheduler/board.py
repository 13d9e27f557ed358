"""The board: who has which chunk in hand, what is promised to whom, what waits, what is done.

It keeps its lists in step and decides nothing. Not for: what a worker gets next
(`scheduler.choice`) or what follows from an event (`scheduler.dispatch`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappush

from scheduler.chunks import Chunk
from scheduler.hands import Attempt, Trouble, WorkerState
from scheduler.instructions import Rules, name_of
from scheduler.waiting import WaitingChunks

_STORY_LENGTH = 100_000
_TOKENS_OF_A_RUN = 1 << 32
_OVERDUE = 2.0


class Board:
    """The state of one job; chunks are named by their position in the list."""

    def __init__(self, chunks: Sequence[Chunk], rules: Rules, workers: int, run: int) -> None:
        """Begin with everything waiting; the arguments are those of `Dispatch`."""
        self.chunks = list(chunks)
        self.rules = rules
        self.now = 0.0
        self.waiting = WaitingChunks(self.chunks)
        self.again: dict[int, None] = {}
        """Positions of chunks that gave trouble and wait, in order."""
        self.done = bytearray(len(self.chunks))
        self.left = len(self.chunks)
        self.trouble: dict[int, Trouble] = {}
        self.workers: dict[int, WorkerState] = {}
        self.idle: dict[int, None] = {}
        """Workers with nothing in hand, the one that waits longest first."""
        self.hungry: dict[int, None] = {}
        """Workers that have work and room for more."""
        self.leasing: dict[int, None] = {}
        """Workers with stretches that are not sent yet."""
        self.attempts: dict[int, Attempt] = {}
        self.copies: dict[int, list[int]] = {}
        """Tokens of the attempts at a chunk, by its position."""
        self.late: list[tuple[float, int]] = []
        """Heap of (when an attempt may be given to a second worker, token), in the end only."""
        self.cancelled = False
        self.coming = workers
        """Workers that are on their way."""
        self.frames_each = sum(c.frame_count for c in chunks) / max(1, len(chunks))
        self._ending = False
        self._token = run * _TOKENS_OF_A_RUN
        self._story: deque[tuple[float, str, int, int, int]] = deque(maxlen=_STORY_LENGTH)

    def story(self, key: int | Chunk) -> list[str]:
        """Return what happened to a worker (its number) or to a chunk."""
        if isinstance(key, Chunk):
            told = [each for each in self._story if each[3] == key.chunk_index]
        else:
            told = [each for each in self._story if each[2] == key]
        return [f"{at:.3f} {what} w{who} c{chunk} t{token}" for at, what, who, chunk, token in told]

    def tell(self, what: str, worker: int, attempt: Attempt | None = None) -> None:
        """Remember an event for the story."""
        chunk = -1 if attempt is None else self.chunks[attempt.position].chunk_index
        self._story.append(
            (self.now, what, worker, chunk, -1 if attempt is None else attempt.token)
        )

    def trouble_of(self, position: int) -> Trouble:
        """Return what a chunk has been through, to be written down."""
        return self.trouble.setdefault(position, Trouble())

    def name(self, attempt: Attempt) -> str:
        """Return how messages name the chunk of an attempt."""
        return name_of(self.chunks[attempt.position])

    def holds_suspect(self, state: WorkerState) -> bool:
        """Tell whether a worker renders a chunk that may bring it down, which is done alone."""
        if len(state.hands) != 1 or not self.trouble:
            return False
        trouble = self.trouble.get(self.attempts[state.hands[0]].position)
        return trouble is not None and trouble.suspect

    def give(self, worker: int, position: int, *, after: int | None) -> Attempt:
        """Put a chunk into a worker's hands, behind the one at position `after`."""
        chunk, state = self.chunks[position], self.workers[worker]
        before = None if after is None else self.chunks[after]
        self._token += 1
        attempt = Attempt(
            token=self._token,
            worker=worker,
            position=position,
            sent_s=self.now,
            follows=before is not None
            and before.lane == chunk.lane
            and before.chunk_index + 1 == chunk.chunk_index,
        )
        if not state.hands:
            state.sign_s = state.began_s = self.now
        self.attempts[attempt.token] = attempt
        self.copies.setdefault(position, []).append(attempt.token)
        state.hands.append(attempt.token)
        state.last = position
        self.place(worker, state)
        if self._ending:
            self._note_late(attempt)
        self.tell("sent", worker, attempt)
        return attempt

    def release(self, attempt: Attempt, state: WorkerState | None = None) -> None:
        """Take an attempt out of a worker's hands; its token is worth nothing from now on."""
        state = state or self.workers[attempt.worker]
        del self.attempts[attempt.token]
        copies = self.copies[attempt.position]
        copies.remove(attempt.token)
        if not copies:
            del self.copies[attempt.position]
        first = state.hands[0] == attempt.token
        state.hands.remove(attempt.token)
        if first:
            state.began_s = self.now
        if first and state.hands and self._ending and attempt.worker in self.workers:
            self._note_late(self.attempts[state.hands[0]])

    def place(self, worker: int, state: WorkerState) -> None:
        """Keep the lists of workers that want work."""
        self.idle.pop(worker, None)
        self.hungry.pop(worker, None)
        if state.draining or self.cancelled or state.saved is not None:
            return
        if not state.hands:
            self.idle[worker] = None
        elif not self.holds_suspect(state) and len(state.hands) < state.depth(
            self.rules, self.frames_each
        ):
            self.hungry[worker] = None

    def wait_again(self, position: int) -> None:
        """Let a chunk wait that is not done and in no other hands."""
        if self.done[position] or self.copies.get(position):
            return
        if position in self.trouble:
            self.again[position] = None
        else:
            self.waiting.put_back(range(position, position + 1))

    def give_back(self, worker: int, state: WorkerState) -> None:
        """Let what was promised to a worker wait again."""
        for stretch in state.lease:
            self.waiting.put_back(stretch)
        state.lease.clear()
        self.leasing.pop(worker, None)
        if state.saved is not None:
            self.again[state.saved] = None
            state.saved = None

    def forget(self, worker: int) -> WorkerState | None:
        """Strike a worker off the lists; what it had in hand is left to the caller."""
        state = self.workers.pop(worker, None)
        if state is not None:
            self.give_back(worker, state)
            self.idle.pop(worker, None)
            self.hungry.pop(worker, None)
        return state

    def begin_ending(self) -> None:
        """From now on, note when attempts may be given to a second worker."""
        if not self._ending:
            self._ending = True
            for attempt in self.attempts.values():
                self._note_late(attempt)

    def _note_late(self, attempt: Attempt) -> None:
        """Note when an attempt is overdue; one that is not begun is so at once."""
        state = self.workers[attempt.worker]
        if state.hands[0] != attempt.token:
            if not attempt.follows:
                heappush(self.late, (self.now, attempt.token))
        elif state.frame_s:
            frames = self.chunks[attempt.position].frame_count
            due = max(state.began_s, attempt.sent_s) + _OVERDUE * state.frame_s * frames
            heappush(self.late, (due, attempt.token))
