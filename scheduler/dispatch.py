"""The dispatch core: which worker renders which chunk, as a pure machine.

Events go in, instructions come out; no Ray, no clock, no I/O. Chunks of one lane go in order to one
worker; lanes go to whoever is free. Not for: cutting chunks (`scheduler.chunks`) or talking to workers
(`actors.pool`).
"""

from __future__ import annotations

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
    """Whether there is nothing earlier to ask for."""
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
    attempts: int = 0


@dataclass(slots=True)
class _Worker:
    """What a worker has in hand."""

    lanes: deque[deque[Chunk]] = field(default_factory=deque)
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
        self._waiting: deque[deque[Chunk]] = deque()
        for chunk in chunks:
            if self._waiting and self._waiting[-1][-1].lane == chunk.lane:
                self._waiting[-1].append(chunk)
            else:
                self._waiting.append(deque([chunk]))
        self._workers: dict[int, _Worker] = {}
        self._undone = {c.chunk_index for c in chunks}
        self._losses = 0

    @property
    def finished(self) -> bool:
        """Whether every chunk is done."""
        return not self._undone

    def worker_up(self, worker: int) -> list[Instruction]:
        """A worker is ready for work."""
        self._workers[worker] = _Worker()
        return self._assign()

    def chunk_done(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """A worker has stored a chunk; a double result changes nothing."""
        self._release(worker, chunk)
        self._undone.discard(chunk.chunk_index)
        return self._assign()

    def keyframe_false(self, worker: int, chunk: Chunk, packet: int) -> list[Instruction]:
        """No complete picture came out of the keyframe that a chunk began at."""
        self._false.add(packet)
        self._entries[chunk.chunk_index].packet_start = self._before(packet)
        return [self._render(worker, chunk)]

    def frames_missing(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """Frames did not come out although the keyframe was sound; one earlier is tried."""
        entry = self._entries[chunk.chunk_index]
        entry.tries += 1
        if entry.tries < _DECODE_TRIES:
            entry.packet_start = self._before(entry.packet_start)
        return [self._render(worker, chunk)]

    def decoder_closed(self, worker: int, chunk: Chunk) -> list[Instruction]:
        """The worker could not go on where the chunk before it ended."""
        return [self._render(worker, chunk)]

    def chunk_failed(self, worker: int, chunk: Chunk, message: str) -> list[Instruction]:
        """An attempt failed in the worker, which lives on."""
        self._release(worker, chunk)
        entry = self._entries[chunk.chunk_index]
        entry.attempts += 1
        if entry.attempts >= MAX_ATTEMPTS:
            return [Fail(f"{message} ({entry.attempts} attempts)")]
        self._put_back([chunk])
        return self._assign()

    def worker_lost(self, worker: int) -> list[Instruction]:
        """A worker is gone with all that it had in hand."""
        gone = self._workers.pop(worker, None)
        if gone is None:
            return []
        self._losses += 1
        for chunk in gone.in_flight[:1]:
            entry = self._entries[chunk.chunk_index]
            entry.attempts += 1
            if entry.attempts >= MAX_ATTEMPTS:
                return [
                    Fail(
                        f"chunk {chunk.chunk_index:05d} (frames {chunk.frame_start} to "
                        f"{chunk.frame_stop}) brought {entry.attempts} workers down"
                    )
                ]
        rest = [chunk for lane in gone.lanes for chunk in lane]
        self._put_back([*gone.in_flight, *rest])
        return [StartWorker(), *self._assign()]

    def _assign(self) -> list[Instruction]:
        """Give work to every worker that has room: first its own lane, then the next one waiting."""
        out: list[Instruction] = []
        progress = True
        while progress:
            progress = False
            for number, worker in sorted(self._workers.items(), key=lambda w: len(w[1].in_flight)):
                if len(worker.in_flight) < IN_FLIGHT and (chunk := self._next(worker)):
                    before = worker.last
                    goes_on = before is not None and before.lane == chunk.lane
                    goes_on = goes_on and before.chunk_index + 1 == chunk.chunk_index
                    worker.in_flight.append(chunk)
                    out.append(self._render(number, chunk, before if goes_on else None))
                    progress = True
                    break
        return out

    def _next(self, worker: _Worker) -> Chunk | None:
        """Take the next chunk for a worker; a lane that is begun stays with it."""
        while worker.lanes and not worker.lanes[0]:
            worker.lanes.popleft()
        if not worker.lanes and self._waiting:
            worker.lanes.append(self._waiting.popleft())
        return worker.lanes[0].popleft() if worker.lanes else None

    def _render(self, worker: int, chunk: Chunk, after: Chunk | None = None) -> Render:
        self._workers[worker].last = chunk
        entry = self._entries[chunk.chunk_index]
        if entry.packet_start in self._false:
            entry.packet_start = self._before(entry.packet_start)
        proven = entry.packet_start == 0 or entry.tries >= _DECODE_TRIES
        return Render(worker, chunk, entry.packet_start, proven, after)

    def _before(self, packet: int) -> int:
        """Return the last believable keyframe before a packet, 0 where there is none."""
        earlier = (k for k in reversed(self._keyframes) if k < packet and k not in self._false)
        return next(earlier, 0)

    def _release(self, worker: int, chunk: Chunk) -> None:
        """Take a chunk out of a worker's hands."""
        held = self._workers.get(worker)
        if held is not None and chunk in held.in_flight:
            held.in_flight.remove(chunk)

    def _put_back(self, chunks: list[Chunk]) -> None:
        """Let unfinished chunks wait again, at the front, lane by lane."""
        lanes: dict[int, deque[Chunk]] = {}
        for chunk in chunks:
            if chunk.chunk_index in self._undone:
                lanes.setdefault(chunk.lane, deque()).append(chunk)
        self._waiting.extendleft(reversed(lanes.values()))
