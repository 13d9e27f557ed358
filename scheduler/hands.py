"""What the dispatch core knows of each worker, each attempt and each chunk that gave trouble.

Not for: deciding anything from it (`scheduler.dispatch`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from scheduler.instructions import Rules

_LEAST_AHEAD = 2
_MOST_AHEAD = 8
_SPEED_WEIGHT = 0.3
"""Of the newest measurement in a worker's speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A chunk in a worker's hands."""

    token: int
    worker: int
    position: int
    """Of the chunk in the list of the job's chunks."""
    sent_s: float
    follows: bool
    """Whether it counts on the decoder of the chunk before."""


@dataclass(slots=True)
class Trouble:
    """What a chunk has been through."""

    attempts: int = 0
    tried: set[int] = field(default_factory=set)
    """Workers that failed it or were lost with it."""
    suspect: bool = False
    """Whether a worker was lost that held it beside others: it is tried alone next."""
    keep: bool = False
    """Whether its frames are encoded as they are."""


@dataclass(slots=True)
class WorkerState:
    """What a worker has in hand and how it does."""

    lease: deque[range] = field(default_factory=deque)
    """Stretches that are promised to it and not sent yet."""
    hands: list[int] = field(default_factory=list)
    """Tokens of what was sent, in order."""
    saved: int | None = None
    """Position of a suspect that it gets when its hands are empty."""
    last: int | None = None
    """Position of what was sent last."""
    frame_s: float = 0.0
    """Measured seconds of a frame, 0 while unknown."""
    began_s: float = 0.0
    """When it can have begun the first chunk in its hands."""
    sign_s: float = 0.0
    """When it showed its last sign of life, or got work after it had none."""
    activity: int = -1
    """What it said of its progress last."""
    slowest_s: float = 0.0
    """The longest that a sign of life took."""
    failed: set[int] = field(default_factory=set)
    """Positions of chunks that it failed."""
    draining: bool = False

    def signed(self, now: float) -> None:
        """Note a sign of life of a worker that has work."""
        self.slowest_s = max(self.slowest_s, now - self.sign_s)
        self.sign_s = now

    def measure(self, now: float, frames: int) -> None:
        """Note that the first chunk in hand, of so many frames, is done."""
        found = max(0.0, now - self.began_s) / max(1, frames)
        self.frame_s = (
            found if not self.frame_s else self.frame_s + _SPEED_WEIGHT * (found - self.frame_s)
        )
        self.began_s = now

    def stall_limit_s(self, rules: Rules) -> float:
        """Return how long it may show no sign of life."""
        if not self.slowest_s:
            return max(rules.stall_s, rules.first_stall_s)
        return max(rules.stall_s, rules.stall_factor * self.slowest_s)

    def depth(self, rules: Rules, chunk_frames: float) -> int:
        """Return how many chunks it should hold, so that it never waits for one."""
        if not self.frame_s:
            return _LEAST_AHEAD
        chunk_s = max(1e-6, self.frame_s * chunk_frames)
        return min(_MOST_AHEAD, max(_LEAST_AHEAD, 1 + math.ceil(rules.ahead_s / chunk_s)))
