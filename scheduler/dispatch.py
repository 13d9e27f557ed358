"""The dispatch core: which worker renders which chunk, as a pure machine.

Events go in, instructions come out; no Ray, no clock, no I/O: time is told (`clock`), never read.
Each event costs O(log n) in workers and chunks. Chunks of one lane go in order to one worker. Every
attempt has a token; what comes back under a token that is no longer held changes nothing. Not for:
cutting chunks (`scheduler.chunks`) or talking to workers (`actors.pool`).
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.board import Board
from scheduler.choice import Choice
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
)
from scheduler.stalls import StallWatch


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
        self._board = Board(chunks, rules or Rules(), workers, run)
        self._choice = Choice(self._board)
        self._stalls = StallWatch(self._board)
        self._entries = Entries(self._board.chunks, keyframes)
        self._most_workers = workers
        self._losses = 0
        """Workers lost since a chunk was done."""
        self._revivable = False
        """Whether a chunk was done since a worker was started for one that was taken out."""
        self._kept: list[int] = []

    @property
    def finished(self) -> bool:
        """Whether every chunk is done."""
        return not self._board.left

    @property
    def working(self) -> bool:
        """Whether any worker has something in hand."""
        return bool(self._board.attempts)

    @property
    def kept(self) -> list[Chunk]:
        """The chunks whose frames are encoded as they are, in order."""
        return [self._board.chunks[i] for i in sorted(self._kept)]

    def holds(self, token: int) -> bool:
        """Tell whether the result of an attempt counts."""
        return token in self._board.attempts

    def story(self, key: int | Chunk) -> list[str]:
        """Return what happened to a worker (its number) or to a chunk, for crash reports."""
        return self._board.story(key)

    def clock(self, now: float) -> list[Instruction]:
        """It is `now`, in seconds from anywhere, never backwards."""
        self._board.now = max(self._board.now, now)
        out = self._look_for_stalled()
        while self._board.idle and self._board.late and self._board.late[0][0] <= self._board.now:
            more = self._feed(next(iter(self._board.idle)))
            if not more:
                break
            out += more
        return out

    def worker_coming(self) -> list[Instruction]:
        """A worker is being started that nobody had counted on."""
        self._board.coming += 1
        self._most_workers = max(self._most_workers, len(self._board.workers) + self._board.coming)
        return []

    def worker_up(self, worker: int) -> list[Instruction]:
        """A worker is ready for work."""
        self._board.tell("up", worker)
        self._board.coming = max(0, self._board.coming - 1)
        if worker in self._board.workers:
            return []
        self._board.workers[worker] = WorkerState(sign_s=self._board.now, began_s=self._board.now)
        self._most_workers = max(self._most_workers, len(self._board.workers))
        self._stalls.begin(worker)
        return self._feed(worker)

    def worker_not_up(self, reason: str) -> list[Instruction]:
        """A worker did not come up and nobody starts another one in its place."""
        self._board.coming = max(0, self._board.coming - 1)
        return self._check_capable(reason)

    def progress(self, worker: int, activity: int) -> list[Instruction]:
        """A worker said how much it has done; another number than before is a sign of life."""
        state = self._board.workers.get(worker)
        if state is not None and activity != state.activity:
            state.activity = activity
            if state.hands:
                self._stalls.sign(worker, state)
        return []

    def chunk_done(self, token: int) -> list[Instruction]:
        """A worker has rendered a chunk and the result is kept."""
        attempt = self._board.attempts.get(token)
        if attempt is None:
            return []
        self._board.tell("done", attempt.worker, attempt)
        state, position = self._board.workers[attempt.worker], attempt.position
        if state.hands[0] == token:
            state.measure(self._board.now, self._board.chunks[position].frame_count)
        self._stalls.sign(attempt.worker, state)
        self._board.release(attempt)
        self._board.done[position] = 1
        self._board.left -= 1
        self._losses = 0
        self._revivable = True
        self._board.trouble.pop(position, None)
        out: list[Instruction] = []
        others = [self._board.attempts[other] for other in self._board.copies.get(position, ())]
        for other in others:
            self._board.tell("dropped", other.worker, other)
            out.append(Drop(other.worker, other.token))
            self._board.release(other)
        for worker in (attempt.worker, *(other.worker for other in others)):
            out += self._feed(worker)
        return out

    def keyframe_false(self, token: int, packet: int) -> list[Instruction]:
        """No complete picture came out of the keyframe that a chunk began at."""
        attempt = self._board.attempts.get(token)
        if attempt is None:
            return []
        self._entries.keyframe_false(packet)
        return self._order_again(attempt)

    def frames_missing(self, token: int) -> list[Instruction]:
        """Frames did not come out whole although the keyframe was sound."""
        attempt = self._board.attempts.get(token)
        if attempt is None:
            return []
        if not self._entries.frames_missing(attempt.position):
            return self.chunk_failed(token, f"{self._board.name(attempt)}: frames do not decode")
        return self._order_again(attempt)

    def decoder_closed(self, token: int) -> list[Instruction]:
        """The worker could not go on where the chunk before it ended."""
        attempt = self._board.attempts.get(token)
        if attempt is None:
            return []
        if not attempt.follows:
            return self.chunk_failed(token, f"{self._board.name(attempt)}: its packets do not fit")
        return self._order_again(attempt)

    def chunk_failed(self, token: int, message: str) -> list[Instruction]:
        """An attempt failed in the worker, which lives on."""
        attempt = self._board.attempts.get(token)
        if attempt is None:
            return []
        self._board.tell("failed", attempt.worker, attempt)
        state = self._board.workers[attempt.worker]
        self._stalls.sign(attempt.worker, state)
        state.failed.add(attempt.position)
        self._board.release(attempt)
        out = self._blame(attempt, message)
        if len(state.failed) >= self._board.rules.worker_failures and not _failed(out):
            out += self._take_out(attempt.worker, message)
        return out + self._feed(attempt.worker) + self._feed_others()

    def worker_lost(self, worker: int, *, by_node: bool = False) -> list[Instruction]:
        """A worker is gone with all that it had in hand.

        Args:
            worker: Which one.
            by_node: Whether its node is gone, so that no chunk is to blame.
        """
        state = self._board.forget(worker)
        if state is None or self.finished:
            return []
        self._board.tell("lost", worker)
        self._losses += not by_node
        if self._losses > self._board.rules.attempts * self._most_workers:
            return [Fail(f"{self._losses} workers were lost and no chunk was finished meanwhile")]
        attempts = [self._board.attempts[token] for token in state.hands]
        for attempt in attempts:
            self._board.release(attempt, state)
        alone = len(attempts) == 1
        out: list[Instruction] = []
        for attempt in attempts:
            if by_node:
                self._board.wait_again(attempt.position)
            elif alone:
                message = f"{self._board.name(attempt)} brought its worker down"
                out += self._blame(attempt, message, lost=True)
            else:
                self._board.trouble_of(attempt.position).suspect = True
                self._board.wait_again(attempt.position)
        if _failed(out) or self._board.cancelled:
            return out
        self._board.coming += 1
        return [*out, StartWorker(), *self._feed_others()]

    def draining(self, worker: int) -> list[Instruction]:
        """A worker's node is to be left: it finishes what it has in hand and gets no more."""
        state = self._board.workers.get(worker)
        if state is None or state.draining:
            return []
        self._board.tell("draining", worker)
        state.draining = True
        self._board.give_back(worker, state)
        return [*self._feed(worker), *self._feed_others()]

    def cancel(self) -> list[Instruction]:
        """Nothing is to be begun any more; what is in hand may be finished."""
        self._board.cancelled = True
        return []

    def _order_again(self, attempt: Attempt) -> list[Instruction]:
        """Order a chunk from the best keyframe that is known, by the worker that has it."""
        worker, state = attempt.worker, self._board.workers[attempt.worker]
        self._stalls.sign(worker, state)
        self._board.release(attempt)
        if self._board.cancelled:
            return []
        return [self._order(worker, attempt.position, after=None)]

    def _blame(self, attempt: Attempt, message: str, *, lost: bool = False) -> list[Instruction]:
        """Count an attempt against its chunk; the last one is kept as it is or fails the job."""
        trouble = self._board.trouble_of(attempt.position)
        trouble.attempts += 1
        trouble.suspect = lost
        trouble.tried.add(attempt.worker)
        others = self._board.copies.get(attempt.position)
        if trouble.attempts >= self._board.rules.attempts and not others:
            if trouble.keep or not self._board.rules.keep_failed:
                chunk = self._board.chunks[attempt.position]
                where = f"frames {chunk.frame_start} to {chunk.frame_stop}"
                text = message if where in message else f"{message}, {where}"
                return [Fail(f"{text} ({trouble.attempts} attempts)")]
            self._board.trouble[attempt.position] = Trouble(keep=True)
            self._kept.append(attempt.position)
        self._board.wait_again(attempt.position)
        return []

    def _take_out(self, worker: int, message: str) -> list[Instruction]:
        """End a worker that fails what others may not; its work goes to them."""
        state = self._board.forget(worker)
        if state is None:
            return []
        for token in list(state.hands):
            attempt = self._board.attempts[token]
            self._board.release(attempt, state)
            self._board.wait_again(attempt.position)
        reason = f"worker {worker} failed {len(state.failed)} chunks and is taken out: {message}"
        if self._revivable and not self._board.workers and not self._board.coming:
            # A fault may stick to a process: one that had worked before may do so again.
            self._revivable = False
            self._board.coming += 1
            return [StopWorker(worker, reason), StartWorker()]
        return [StopWorker(worker, reason), *self._check_capable(message)]

    def _check_capable(self, message: str) -> list[Instruction]:
        """Give up at once where no worker is left and none is on its way."""
        if self.finished or self._board.workers or self._board.coming or self._board.cancelled:
            return []
        return [Fail(f"no worker is left that can render: {message}")]

    def _look_for_stalled(self) -> list[Instruction]:
        """Replace workers that show no sign of life."""
        out: list[Instruction] = []
        for worker, limit_s in self._stalls.stalled():
            self._board.tell("stalled", worker)
            reason = f"worker {worker} showed no sign of life for {limit_s:.0f} s"
            out += [StopWorker(worker, reason), *self.worker_lost(worker)]
        return out

    def _feed(self, worker: int) -> list[Instruction]:
        """Give a worker as much as it has room for."""
        state = self._board.workers.get(worker)
        if state is None:
            return []
        out: list[Instruction] = []
        while len(state.hands) < self._choice.room(worker, state):
            position = self._choice.next(worker, state)
            if position is None:
                break
            out.append(self._order(worker, position, after=state.last))
        self._board.place(worker, state)
        if state.saved is not None or self._board.holds_suspect(state):
            out += self._feed_others()
        elif self._board.idle and self._choice.can_spare(state):
            # A chunk that gave trouble came between a worker and its stretch.
            out += self._feed(next(iter(self._board.idle)))
        return [*out, *self._leave(worker)] if state.draining and not state.hands else out

    def _leave(self, worker: int) -> list[Instruction]:
        """End a worker on a node that is to be left; what only it could take goes to others."""
        self._board.forget(worker)
        reason = f"worker {worker} is done: its node is to be left"
        return [
            StopWorker(worker, reason),
            *self._feed_others(),
            *self._check_capable("its node is to be left"),
        ]

    def _order(self, worker: int, position: int, *, after: int | None) -> Render:
        """Put a chunk into a worker's hands."""
        attempt = self._board.give(worker, position, after=after)
        start, proven = self._entries.start(position)
        trouble = self._board.trouble.get(position)
        return Render(
            worker,
            self._board.chunks[position],
            attempt.token,
            start,
            proven,
            self._board.chunks[after] if attempt.follows and after is not None else None,
            keep=trouble is not None and trouble.keep,
        )

    def _feed_others(self) -> list[Instruction]:
        """Give what waits again to workers that have room, to the idle ones first."""
        out: list[Instruction] = []
        most = self._board.rules.attempts
        for group in (self._board.idle, self._board.hungry):
            refusals = 0
            while group and refusals <= most and (self._board.again or self._board.waiting):
                fed = self._feed(next(iter(group)))
                refusals += not fed
                out += fed
        return out


def _failed(instructions: Sequence[Instruction]) -> bool:
    """Tell whether the job is given up."""
    return any(isinstance(each, Fail) for each in instructions)
