"""The dispatch core: which worker renders which chunk, as a pure machine.

Events go in, instructions come out; no Ray, no clock, no I/O. Chunks of one lane go in order to one
worker; lanes go to whoever is free. Not for: cutting chunks (`scheduler.chunks`) or talking to
workers (`actors.pool`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduler.chunks import Chunk

MAX_ATTEMPTS = 3
IN_FLIGHT = 2
_DECODE_TRIES = 2


@dataclass(frozen=True, slots=True)
class Render:
    """Give a chunk to a worker."""

    worker: int
    chunk: Chunk
    packet_start: int
    """The keyframe to decode from."""
    proven: bool
    """Whether frames with errors are taken, and with `packet_start` 0 missing ones are lost."""
    after: Chunk | None = None
    """The chunk that the worker renders just before, in the same lane: its decoder can go on."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker in the place of one that was lost."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Give the job up."""

    message: str


Instruction = Render | StartWorker | Fail


@dataclass(slots=True)
class _Entry:
    """Where the decoding of a chunk begins, and what has been tried."""

    packet_start: int
    tries: int = 0
    """How often frames were missing although the keyframe was sound."""
    attempts: int = 0
    """How often it failed."""
    goes_on: bool = False
    """Whether its last order counted on an open decoder."""


@dataclass(slots=True)
class _Worker:
    """What a worker has in hand."""

    lane: deque[Chunk] = field(default_factory=deque)
    """What it will be given next."""
    last: Chunk | None = None
    """What was given to it last."""
    in_flight: list[Chunk] = field(default_factory=list)


class Dispatch:
    """State of one job; every method is an event and returns what to do."""

    def __init__(self, chunks: Sequence[Chunk], keyframes: Sequence[int]) -> None:
        """Begin with the chunks that are still to be rendered.

        Args:
            chunks: In order; finished ones left out.
            keyframes: Packet numbers of all keyframes of the source, ascending.
        """
        self._keyframes = list(keyframes)
        self._false: set[int] = set()
        self._entries = {c.chunk_index: _Entry(c.packet_start) for c in chunks}
        self._undone = set(self._entries)
        self._waiting: deque[deque[Chunk]] = deque(_lanes(chunks))
        self._workers: dict[int, _Worker] = {}
        self._most_workers = 0
        self._losses = 0
        """Workers lost since a chunk was done."""

    @property
    def finished(self) -> bool:
        """Whether every chunk is done."""
        return not self._undone

    def worker_up(self, worker: int) -> list[Instruction]:
        """A worker is ready for work."""
        self._workers.setdefault(worker, _Worker())
        self._most_workers = max(self._most_workers, len(self._workers))
        return self._assign()

    def chunk_done(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """A worker has stored a chunk; a double result changes nothing."""
        self._release(worker, chunk)
        self._undone.discard(chunk.chunk_index)
        self._losses = 0
        return self._assign()

    def keyframe_false(self, worker: int, chunk: Chunk, packet: int) -> list[Instruction]:
        """No complete picture came out of the keyframe that a chunk began at."""
        if not self._in_hand(worker, chunk):
            return []
        self._false.add(packet)
        return [self._render(worker, chunk)]

    def frames_missing(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """Frames did not come out whole although the keyframe was sound.

        One keyframe earlier is tried, then frames with errors are taken, then all is decoded from
        the start of the file, as a player does.
        """
        if not self._in_hand(worker, chunk):
            return []
        entry = self._entries[chunk.chunk_index]
        entry.tries += 1
        if entry.tries < _DECODE_TRIES:
            entry.packet_start = self._before(entry.packet_start)
        elif entry.tries > _DECODE_TRIES:
            if entry.packet_start == 0:
                return self.chunk_failed(worker, chunk, f"{_name(chunk)}: frames do not decode")
            entry.packet_start = 0
        return [self._render(worker, chunk)]

    def decoder_closed(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """The worker could not go on where the chunk before it ended."""
        if not self._in_hand(worker, chunk):
            return []
        if not self._entries[chunk.chunk_index].goes_on:
            return self.chunk_failed(worker, chunk, f"{_name(chunk)}: its packets do not fit")
        return [self._render(worker, chunk)]

    def chunk_failed(self, worker: int, chunk: Chunk, message: str) -> list[Instruction]:
        """An attempt failed in the worker, which lives on."""
        if not self._in_hand(worker, chunk):
            return []
        self._release(worker, chunk)
        entry = self._entries[chunk.chunk_index]
        entry.attempts += 1
        if entry.attempts >= MAX_ATTEMPTS and chunk.chunk_index in self._undone:
            return [Fail(f"{message} ({entry.attempts} attempts)")]
        self._put_back([chunk])
        return self._assign()

    def worker_lost(self, worker: int) -> list[Instruction]:
        """A worker is gone with all that it had in hand."""
        gone = self._workers.pop(worker, None)
        if gone is None or self.finished:
            return []
        self._losses += 1
        if self._losses > MAX_ATTEMPTS * self._most_workers:
            return [Fail(f"{self._losses} workers were lost and no chunk was finished meanwhile")]
        for chunk in gone.in_flight[:1]:
            entry = self._entries[chunk.chunk_index]
            entry.attempts += 1
            if entry.attempts >= MAX_ATTEMPTS and chunk.chunk_index in self._undone:
                return [Fail(f"{_name(chunk)} brought {entry.attempts} workers down")]
        self._put_back([*gone.in_flight, *gone.lane])
        return [StartWorker(), *self._assign()]

    def _assign(self) -> list[Instruction]:
        """Give work to every worker that has room, to the idle ones first."""
        out: list[Instruction] = []
        while order := self._next_order():
            out.append(order)
        return out

    def _next_order(self) -> Render | None:
        """Give the next chunk to the worker with the least to do; None where there is none."""
        for number, worker in sorted(self._workers.items(), key=lambda w: len(w[1].in_flight)):
            if len(worker.in_flight) >= IN_FLIGHT:
                return None
            if chunk := self._next(worker):
                before = worker.last
                follows = (
                    before is not None
                    and before.lane == chunk.lane
                    and before.chunk_index + 1 == chunk.chunk_index
                )
                worker.in_flight.append(chunk)
                return self._render(number, chunk, before if follows else None)
        return None

    def _next(self, worker: _Worker) -> Chunk | None:
        """Take the next chunk for a worker; a lane that is begun stays with it."""
        while worker.lane or self._waiting:
            if not worker.lane:
                worker.lane = self._waiting.popleft()
            while worker.lane:
                chunk = worker.lane.popleft()
                if chunk.chunk_index in self._undone:
                    return chunk
        return None

    def _render(self, worker: int, chunk: Chunk, after: Chunk | None = None) -> Render:
        """Order a chunk from the best keyframe that is known."""
        self._workers[worker].last = chunk
        entry = self._entries[chunk.chunk_index]
        entry.goes_on = after is not None
        if entry.packet_start in self._false:
            entry.packet_start = self._before(entry.packet_start)
        proven = entry.packet_start == 0 or entry.tries >= _DECODE_TRIES
        return Render(worker, chunk, entry.packet_start, proven, after)

    def _before(self, packet: int) -> int:
        """Return the last believable keyframe before a packet, 0 where there is none."""
        place = bisect_left(self._keyframes, packet) - 1
        while place >= 0 and self._keyframes[place] in self._false:
            place -= 1
        return self._keyframes[place] if place >= 0 else 0

    def _in_hand(self, worker: int, chunk: Chunk) -> bool:
        """Tell whether a worker was given a chunk and has not answered for it."""
        held = self._workers.get(worker)
        return held is not None and chunk in held.in_flight

    def _release(self, worker: int, chunk: Chunk) -> None:
        """Take a chunk out of a worker's hands."""
        if self._in_hand(worker, chunk):
            self._workers[worker].in_flight.remove(chunk)

    def _put_back(self, chunks: list[Chunk]) -> None:
        """Let unfinished chunks wait again, at the front, each lane in one piece and in order."""
        numbers = {chunk.lane for chunk in chunks}
        again = [chunk for lane in self._waiting for chunk in lane if chunk.lane in numbers]
        self._waiting = deque(lane for lane in self._waiting if lane[0].lane not in numbers)
        undone = [c for c in (*chunks, *again) if c.chunk_index in self._undone]
        ordered = sorted(undone, key=lambda chunk: chunk.chunk_index)
        self._waiting.extendleft(reversed(_lanes(ordered)))


def _lanes(chunks: Sequence[Chunk]) -> list[deque[Chunk]]:
    """Group chunks by lane, in order."""
    lanes: dict[int, deque[Chunk]] = {}
    for chunk in chunks:
        lanes.setdefault(chunk.lane, deque()).append(chunk)
    return list(lanes.values())


def _name(chunk: Chunk) -> str:
    """Return how messages name a chunk."""
    return f"chunk {chunk.chunk_index:05d} (frames {chunk.frame_start} to {chunk.frame_stop})"
