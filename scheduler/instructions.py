"""What the dispatch core is told once and what it says: its rules and its instructions.

Not for: deciding (`scheduler.dispatch`) or carrying out (`actors.pool`).
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.chunks import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may go wrong, how often, and for how long."""

    attempts: int = 3
    """Of one chunk, on different workers where there are any."""
    keep_failed: bool = False
    """Whether a chunk that no attempt renders is encoded as it was, instead of failing the job."""
    worker_failures: int = 3
    """Different chunks that a worker may fail before it is taken out of the job."""
    stall_s: float = 60.0
    """A worker that shows no sign of life for this long is replaced, if it never took longer."""
    stall_factor: float = 20.0
    """How many times longer than usual a sign of life may take."""
    first_stall_s: float = 600.0
    """The limit while nobody knows what is usual."""
    ahead_s: float = 1.0
    """Seconds of work that a worker holds beside the chunk in work; one chunk at least."""
    lease_s: float = 10.0
    """Seconds of work that a worker is promised at once, while there is plenty."""


@dataclass(frozen=True, slots=True)
class Render:
    """Give a chunk to a worker."""

    worker: int
    chunk: Chunk
    token: int
    """Of this attempt and no other: the result counts only as long as the token does."""
    packet_start: int
    """The keyframe to decode from."""
    proven: bool
    """Whether frames with errors are taken, and with `packet_start` 0 missing ones are lost."""
    after: Chunk | None = None
    """The chunk that the worker renders just before, in the same lane: its decoder can go on."""
    keep: bool = False
    """Whether the frames are encoded as they are, because no attempt could process them."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Tell a worker that an attempt is no longer wanted."""

    worker: int
    token: int


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker in the place of one that was lost."""


@dataclass(frozen=True, slots=True)
class StopWorker:
    """End a worker, which will not be heard of again."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Give the job up."""

    message: str


Instruction = Render | Drop | StartWorker | StopWorker | Fail


def name_of(chunk: Chunk) -> str:
    """Return how messages name a chunk."""
    return f"chunk {chunk.chunk_index:05d} (frames {chunk.frame_start} to {chunk.frame_stop})"
