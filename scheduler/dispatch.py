"""The dispatch core: which worker renders which chunk, as a pure machine.

Events go in, instructions come out; no Ray, no clock, no I/O: time is told (`clock`), never read.
Each event costs O(log n) in workers and chunks. Chunks of one lane go in order to one worker. Every
attempt has a token; what comes back under a token that is no longer held changes nothing. Not for:
cutting chunks (`scheduler.chunks`) or talking to workers (`actors.pool`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import islice

from scheduler.chunks import Chunk
from scheduler.entries import Entries
from scheduler.hands import Attempt, Trouble, WorkerState
from scheduler.instructions import (
    Drop,
    Fail,
    Instruction,
    Render,
    Rules,
    StartWorker,
    StopWorker,
    name_of,
)
from scheduler.waiting import WaitingChunks

_STORY_LENGTH = 100_000
_TOKENS_OF_A_RUN = 1 << 32
_OVERDUE = 2.0
_LEASE_SHARE = 2
_LOOKS = 16


class Dispatch:
    """State of one job; every method is an event and returns what to do."""

    def __init__(
        self,
        chunks: Sequence[Chunk],
        keyframes: Sequence[int],
        rules: Rules | None = None,
        *,
        workers: int = 0,
        run: int = 0,
    ) -> None:
        """Begin with the chunks that are still to be rendered.

        Args:
            chunks: In order; finished ones left out.
            keyframes: Packet numbers of all keyframes of the source, ascending.
            rules: What may go wrong.
            workers: How many are on their way.
            run: Tokens of different runs of a job differ.
        """
        self._chunks = list(chunks)
        self._rules = rules or Rules()
        self._entries = Entries(self._chunks, keyframes)
        self._waiting = WaitingChunks(self._chunks)
        self._again: dict[int, None] = {}
        """Positions of chunks that gave trouble and wait, in order."""
        self._done = bytearray(len(self._chunks))
        self._left = len(self._chunks)
        self._trouble: dict[int, Trouble] = {}
        self._workers: dict[int, WorkerState] = {}
        self._idle: dict[int, None] = {}
        """Workers with nothing in hand, the one that waits longest first."""
        self._hungry: dict[int, None] = {}
        """Workers that have work and room for more."""
        self._leasing: dict[int, None] = {}
        """Workers with stretches that are not sent yet."""
        self._attempts: dict[int, Attempt] = {}
        self._copies: dict[int, list[int]] = {}
        """Tokens of the attempts at a chunk, by its position."""
        self._watched: list[tuple[float, int]] = []
        """Heap of (when to look for signs of life again, worker), one for each worker."""
        self._late: list[tuple[float, int]] = []
        """Heap of (when an attempt may be given to a second worker, token), in the end only."""
        self._ending = False
        self._cancelled = False
        self._coming = workers
        self._most_workers = workers
        self._losses = 0
        """Workers lost since a chunk was done."""
        self._revivable = False
        """Whether a chunk was done since a worker was started for one that was taken out."""
        self._kept: list[int] = []
        self._now = 0.0
        self._token = run * _TOKENS_OF_A_RUN
        self._frames_each = sum(c.frame_count for c in chunks) / max(1, len(chunks))
        self._story: deque[tuple[float, str, int, int, int]] = deque(maxlen=_STORY_LENGTH)

    @property
    def finished(self) -> bool:
        """Whether every chunk is done."""
        return not self._left

    @property
    def working(self) -> bool:
        """Whether any worker has something in hand."""
        return bool(self._attempts)

    @property
    def kept(self) -> list[Chunk]:
        """The chunks whose frames are encoded as they are, in order."""
        return [self._chunks[i] for i in sorted(self._kept)]

    def holds(self, token: int) -> bool:
        """Tell whether the result of an attempt counts."""
        return token in self._attempts

    def story(self, key: int | Chunk) -> list[str]:
        """Return what happened to a worker (its number) or to a chunk, for crash reports."""
        if isinstance(key, Chunk):
            told = [each for each in self._story if each[3] == key.chunk_index]
        else:
            told = [each for each in self._story if each[2] == key]
        return [f"{at:.3f} {what} w{who} c{chunk} t{token}" for at, what, who, chunk, token in told]

    def clock(self, now: float) -> list[Instruction]:
        """It is `now`, in seconds from anywhere, never backwards."""
        self._now = max(self._now, now)
        out = self._look_for_stalled()
        while self._idle and self._late and self._late[0][0] <= self._now:
            more = self._feed(next(iter(self._idle)))
            if not more:
                break
            out += more
        return out

    def worker_coming(self) -> list[Instruction]:
        """A worker is being started that nobody had counted on."""
        self._coming += 1
        self._most_workers = max(self._most_workers, len(self._workers) + self._coming)
        return []

    def worker_up(self, worker: int) -> list[Instruction]:
        """A worker is ready for work."""
        self._tell("up", worker)
        self._coming = max(0, self._coming - 1)
        if worker in self._workers:
            return []
        self._workers[worker] = WorkerState(sign_s=self._now, began_s=self._now)
        self._most_workers = max(self._most_workers, len(self._workers))
        heappush(self._watched, (self._now + self._limit_s(worker), worker))
        return self._feed(worker)

    def worker_not_up(self, reason: str) -> list[Instruction]:
        """A worker did not come up and nobody starts another one in its place."""
        self._coming = max(0, self._coming - 1)
        return self._check_capable(reason)

    def progress(self, worker: int, activity: int) -> list[Instruction]:
        """A worker said how much it has done; another number than before is a sign of life."""
        state = self._workers.get(worker)
        if state is not None and activity != state.activity:
            state.activity = activity
            if state.hands:
                self._sign(worker, state)
        return []

    def chunk_done(self, token: int) -> list[Instruction]:
        """A worker has rendered a chunk and the result is kept."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        self._tell("done", attempt.worker, attempt)
        state, position = self._workers[attempt.worker], attempt.position
        if state.hands[0] == token:
            state.measure(self._now, self._chunks[position].frame_count)
        self._sign(attempt.worker, state)
        self._release(attempt)
        self._done[position] = 1
        self._left -= 1
        self._losses = 0
        self._revivable = True
        self._trouble.pop(position, None)
        out: list[Instruction] = []
        others = [self._attempts[other] for other in self._copies.get(position, ())]
        for other in others:
            self._tell("dropped", other.worker, other)
            out.append(Drop(other.worker, other.token))
            self._release(other)
        for worker in (attempt.worker, *(other.worker for other in others)):
            out += self._feed(worker)
        return out

    def keyframe_false(self, token: int, packet: int) -> list[Instruction]:
        """No complete picture came out of the keyframe that a chunk began at."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        self._entries.keyframe_false(packet)
        return self._order_again(attempt)

    def frames_missing(self, token: int) -> list[Instruction]:
        """Frames did not come out whole although the keyframe was sound."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        if not self._entries.frames_missing(attempt.position):
            return self.chunk_failed(token, f"{self._name(attempt)}: frames do not decode")
        return self._order_again(attempt)

    def decoder_closed(self, token: int) -> list[Instruction]:
        """The worker could not go on where the chunk before it ended."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        if not attempt.follows:
            return self.chunk_failed(token, f"{self._name(attempt)}: its packets do not fit")
        return self._order_again(attempt)

    def chunk_failed(self, token: int, message: str) -> list[Instruction]:
        """An attempt failed in the worker, which lives on."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        self._tell("failed", attempt.worker, attempt)
        state = self._workers[attempt.worker]
        self._sign(attempt.worker, state)
        state.failed.add(attempt.position)
        self._release(attempt)
        out = self._blame(attempt, message)
        if len(state.failed) >= self._rules.worker_failures and not _failed(out):
            out += self._take_out(attempt.worker, message)
        return out + self._feed(attempt.worker) + self._feed_others()

    def worker_lost(self, worker: int, *, by_node: bool = False) -> list[Instruction]:
        """A worker is gone with all that it had in hand.

        Args:
            worker: Which one.
            by_node: Whether its node is gone, so that no chunk is to blame.
        """
        state = self._forget(worker)
        if state is None or self.finished:
            return []
        self._tell("lost", worker)
        self._losses += not by_node
        if self._losses > self._rules.attempts * self._most_workers:
            return [Fail(f"{self._losses} workers were lost and no chunk was finished meanwhile")]
        attempts = [self._attempts[token] for token in state.hands]
        for attempt in attempts:
            self._release(attempt, state)
        alone = len(attempts) == 1
        out: list[Instruction] = []
        for attempt in attempts:
            if by_node:
                self._wait_again(attempt.position)
            elif alone:
                message = f"{self._name(attempt)} brought its worker down"
                out += self._blame(attempt, message, lost=True)
            else:
                self._trouble_of(attempt.position).suspect = True
                self._wait_again(attempt.position)
        if _failed(out) or self._cancelled:
            return out
        self._coming += 1
        return [*out, StartWorker(), *self._feed_others()]

    def draining(self, worker: int) -> list[Instruction]:
        """A worker's node is to be left: it finishes what it has in hand and gets no more."""
        state = self._workers.get(worker)
        if state is None or state.draining:
            return []
        self._tell("draining", worker)
        state.draining = True
        self._give_back(worker, state)
        return [*self._feed(worker), *self._feed_others()]

    def cancel(self) -> list[Instruction]:
        """Nothing is to be begun any more; what is in hand may be finished."""
        self._cancelled = True
        return []

    def _order_again(self, attempt: Attempt) -> list[Instruction]:
        """Order a chunk from the best keyframe that is known, by the worker that has it."""
        worker, state = attempt.worker, self._workers[attempt.worker]
        self._sign(worker, state)
        self._release(attempt)
        if self._cancelled:
            return []
        return [self._order(worker, attempt.position, after=None)]

    def _blame(self, attempt: Attempt, message: str, *, lost: bool = False) -> list[Instruction]:
        """Count an attempt against its chunk; the last one is kept as it is or fails the job."""
        trouble = self._trouble_of(attempt.position)
        trouble.attempts += 1
        trouble.suspect = lost
        trouble.tried.add(attempt.worker)
        if trouble.attempts >= self._rules.attempts and not self._copies.get(attempt.position):
            if trouble.keep or not self._rules.keep_failed:
                chunk = self._chunks[attempt.position]
                where = f"frames {chunk.frame_start} to {chunk.frame_stop}"
                text = message if where in message else f"{message}, {where}"
                return [Fail(f"{text} ({trouble.attempts} attempts)")]
            self._trouble[attempt.position] = Trouble(keep=True)
            self._kept.append(attempt.position)
        self._wait_again(attempt.position)
        return []

    def _take_out(self, worker: int, message: str) -> list[Instruction]:
        """End a worker that fails what others may not; its work goes to them."""
        state = self._forget(worker)
        if state is None:
            return []
        for token in list(state.hands):
            attempt = self._attempts[token]
            self._release(attempt, state)
            self._wait_again(attempt.position)
        reason = f"worker {worker} failed {len(state.failed)} chunks and is taken out: {message}"
        if self._revivable and not self._workers and not self._coming:
            # A fault may stick to a process: one that had worked before may do so again.
            self._revivable = False
            self._coming += 1
            return [StopWorker(worker, reason), StartWorker()]
        return [StopWorker(worker, reason), *self._check_capable(message)]

    def _check_capable(self, message: str) -> list[Instruction]:
        """Give up at once where no worker is left and none is on its way."""
        if self.finished or self._workers or self._coming or self._cancelled:
            return []
        return [Fail(f"no worker is left that can render: {message}")]

    def _look_for_stalled(self) -> list[Instruction]:
        """Replace workers that show no sign of life."""
        out: list[Instruction] = []
        while self._watched and self._watched[0][0] <= self._now:
            _, worker = heappop(self._watched)
            state = self._workers.get(worker)
            if state is None:
                continue
            limit_s = self._limit_s(worker)
            since = state.sign_s if state.hands else self._now
            if since + limit_s > self._now:
                heappush(self._watched, (since + limit_s, worker))
                continue
            self._tell("stalled", worker)
            reason = f"worker {worker} showed no sign of life for {limit_s:.0f} s"
            out += [StopWorker(worker, reason), *self.worker_lost(worker)]
        return out

    def _sign(self, worker: int, state: WorkerState) -> None:
        """Note a sign of life; the first one says how long they usually take."""
        first = not state.slowest_s
        state.signed(self._now)
        if first:
            heappush(self._watched, (self._now + self._limit_s(worker), worker))

    def _limit_s(self, worker: int) -> float:
        return self._workers[worker].stall_limit_s(self._rules)

    def _feed(self, worker: int) -> list[Instruction]:
        """Give a worker as much as it has room for."""
        state = self._workers.get(worker)
        if state is None:
            return []
        out: list[Instruction] = []
        while len(state.hands) < self._room(worker, state):
            position = self._next(worker, state)
            if position is None:
                break
            out.append(self._order(worker, position, after=state.last))
        self._place(worker, state)
        if state.saved is not None or self._holds_suspect(state):
            out += self._feed_others()
        return [*out, *self._leave(worker)] if state.draining and not state.hands else out

    def _leave(self, worker: int) -> list[Instruction]:
        """End a worker on a node that is to be left; what only it could take goes to others."""
        self._forget(worker)
        reason = f"worker {worker} is done: its node is to be left"
        return [
            StopWorker(worker, reason),
            *self._feed_others(),
            *self._check_capable("its node is to be left"),
        ]

    def _room(self, worker: int, state: WorkerState) -> int:
        """Return how many chunks a worker may hold now."""
        if self._cancelled or state.draining or self._holds_suspect(state):
            return 0
        if state.saved is not None:
            return 1
        others = self._coming + len(self._idle) - (worker in self._idle)
        if len(self._waiting) + len(self._again) <= others and not state.lease:
            return 1
        return state.depth(self._rules, self._frames_each)

    def _holds_suspect(self, state: WorkerState) -> bool:
        """Tell whether a worker renders a chunk that may bring it down, which is done alone."""
        if len(state.hands) != 1 or not self._trouble:
            return False
        trouble = self._trouble.get(self._attempts[state.hands[0]].position)
        return trouble is not None and trouble.suspect

    def _next(self, worker: int, state: WorkerState) -> int | None:
        """Take the next chunk for a worker, None where there is none that it may have now."""
        if state.saved is not None:
            position, state.saved = state.saved, None
            return position
        for position in self._again:
            if worker not in self._trouble_of(position).tried:
                return self._take_again(position, worker, state)
        if state.lease or self._lease(worker, state):
            return self._from_lease(worker, state)
        # What it failed itself comes last: a fault that sticks to the worker shows by then.
        for position in self._again:
            if self._may(worker, position):
                return self._take_again(position, worker, state)
        return None if state.hands else self._second(worker)

    def _take_again(self, position: int, worker: int, state: WorkerState) -> int | None:
        """Take a chunk that gave trouble.

        One that may bring the worker down is rendered alone: what was promised goes to others.
        """
        del self._again[position]
        if self._trouble_of(position).suspect:
            self._give_back(worker, state)
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
            self._leasing.pop(worker, None)
        return stretch[0]

    def _lease(self, worker: int, state: WorkerState) -> bool:
        """Promise neighbouring stretches to a worker: many in the beginning, one in the end."""
        if not self._waiting:
            self._begin_ending()
            return self._take_over(worker, state)
        all_workers = len(self._workers) + self._coming
        frames = self._waiting.frames / (_LEASE_SHARE * all_workers)
        if state.frame_s:
            frames = min(frames, self._rules.lease_s / state.frame_s)
        state.lease.extend(self._waiting.take(frames if state.frame_s else 0))
        self._leasing[worker] = None
        return True

    def _take_over(self, worker: int, state: WorkerState) -> bool:
        """Take a stretch that is promised to another worker and not begun."""
        if state.hands:
            return False
        for other in islice(self._leasing, _LOOKS):
            lease, held = self._workers[other].lease, self._workers[other].last
            begun = held is not None and self._chunks[held].lane == self._chunks[lease[0][0]].lane
            if len(lease) > 1 or not begun:
                state.lease.append(lease.pop())
                if not lease:
                    del self._leasing[other]
                self._leasing[worker] = None
                return True
        return False

    def _second(self, worker: int) -> int | None:
        """Choose a chunk in another worker's hands that is better begun here as well."""
        while self._late and self._late[0][0] <= self._now:
            attempt = self._attempts.get(heappop(self._late)[1])
            if attempt is None or len(self._copies[attempt.position]) > 1:
                continue
            if attempt.position not in self._trouble:
                return attempt.position
        return None

    def _begin_ending(self) -> None:
        """From now on, note when attempts may be given to a second worker."""
        if not self._ending:
            self._ending = True
            for attempt in self._attempts.values():
                self._note_late(attempt)

    def _note_late(self, attempt: Attempt) -> None:
        """Note when an attempt is overdue; one that is not begun is so at once."""
        state = self._workers[attempt.worker]
        if state.hands[0] != attempt.token:
            if not attempt.follows:
                heappush(self._late, (self._now, attempt.token))
        elif state.frame_s:
            frames = self._chunks[attempt.position].frame_count
            due = max(state.began_s, attempt.sent_s) + _OVERDUE * state.frame_s * frames
            heappush(self._late, (due, attempt.token))

    def _order(self, worker: int, position: int, *, after: int | None) -> Render:
        """Put a chunk into a worker's hands."""
        chunk, state = self._chunks[position], self._workers[worker]
        before = self._chunks[after] if after is not None else None
        follows = (
            before is not None
            and before.lane == chunk.lane
            and before.chunk_index + 1 == chunk.chunk_index
        )
        self._token += 1
        attempt = Attempt(
            token=self._token,
            worker=worker,
            position=position,
            sent_s=self._now,
            follows=follows,
        )
        if not state.hands:
            state.sign_s = state.began_s = self._now
        self._attempts[attempt.token] = attempt
        self._copies.setdefault(position, []).append(attempt.token)
        state.hands.append(attempt.token)
        state.last = position
        self._place(worker, state)
        if self._ending:
            self._note_late(attempt)
        self._tell("sent", worker, attempt)
        start, proven = self._entries.start(position)
        trouble = self._trouble.get(position)
        keep = trouble is not None and trouble.keep
        return Render(
            worker, chunk, attempt.token, start, proven, before if follows else None, keep
        )

    def _release(self, attempt: Attempt, state: WorkerState | None = None) -> None:
        """Take an attempt out of a worker's hands; its token is worth nothing from now on."""
        state = state or self._workers[attempt.worker]
        del self._attempts[attempt.token]
        copies = self._copies[attempt.position]
        copies.remove(attempt.token)
        if not copies:
            del self._copies[attempt.position]
        first = state.hands[0] == attempt.token
        state.hands.remove(attempt.token)
        if first:
            state.began_s = self._now
        if first and state.hands and self._ending and attempt.worker in self._workers:
            self._note_late(self._attempts[state.hands[0]])

    def _place(self, worker: int, state: WorkerState) -> None:
        """Keep the lists of workers that want work."""
        self._idle.pop(worker, None)
        self._hungry.pop(worker, None)
        if state.draining or self._cancelled or state.saved is not None:
            return
        if not state.hands:
            self._idle[worker] = None
        elif not self._holds_suspect(state) and len(state.hands) < state.depth(
            self._rules, self._frames_each
        ):
            self._hungry[worker] = None

    def _feed_others(self) -> list[Instruction]:
        """Give what waits again to workers that have room, to the idle ones first."""
        out: list[Instruction] = []
        most = self._rules.attempts
        for group in (self._idle, self._hungry):
            refusals = 0
            while group and refusals <= most and (self._again or self._waiting):
                fed = self._feed(next(iter(group)))
                refusals += not fed
                out += fed
        return out

    def _wait_again(self, position: int) -> None:
        """Let a chunk wait that is not done and in no other hands."""
        if self._done[position] or self._copies.get(position):
            return
        if position in self._trouble:
            self._again[position] = None
        else:
            self._waiting.put_back(range(position, position + 1))

    def _give_back(self, worker: int, state: WorkerState) -> None:
        """Let what was promised to a worker wait again."""
        for stretch in state.lease:
            self._waiting.put_back(stretch)
        state.lease.clear()
        self._leasing.pop(worker, None)
        if state.saved is not None:
            self._again[state.saved] = None
            state.saved = None

    def _forget(self, worker: int) -> WorkerState | None:
        """Strike a worker off the lists; what it had in hand is left to the caller."""
        state = self._workers.pop(worker, None)
        if state is not None:
            self._give_back(worker, state)
            self._idle.pop(worker, None)
            self._hungry.pop(worker, None)
        return state

    def _may(self, worker: int, position: int) -> bool:
        """Tell whether a worker may have a chunk that others failed: as long as none is better."""
        tried = self._trouble_of(position).tried
        if worker not in tried:
            return True
        return not any(other not in tried for other in self._some_workers(len(tried) + 1))

    def _some_workers(self, count: int) -> list[int]:
        """Return so many workers that are not draining, or all where there are fewer."""
        found: list[int] = []
        for number, state in self._workers.items():
            if len(found) == count:
                break
            if not state.draining:
                found.append(number)
        return found

    def _trouble_of(self, position: int) -> Trouble:
        return self._trouble.setdefault(position, Trouble())

    def _name(self, attempt: Attempt) -> str:
        return name_of(self._chunks[attempt.position])

    def _tell(self, what: str, worker: int, attempt: Attempt | None = None) -> None:
        """Remember an event for the story."""
        chunk = -1 if attempt is None else self._chunks[attempt.position].chunk_index
        self._story.append(
            (self._now, what, worker, chunk, -1 if attempt is None else attempt.token)
        )


def _failed(instructions: Sequence[Instruction]) -> bool:
    """Tell whether the job is given up."""
    return any(isinstance(each, Fail) for each in instructions)
