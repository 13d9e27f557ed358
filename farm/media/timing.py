"""Exact display times of frames.

Not for: deciding which frames are shown (`farm.media.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTimes:
    """Presentation time of every output frame, in display order."""

    time_base: Fraction
    """Seconds per tick."""
    pts: NDArray[np.int64]
    """[n] ticks, strictly increasing; may be negative."""
    durations: NDArray[np.int64]
    """[n] ticks, all above 0; the last one is how long the last frame stays."""

    def __post_init__(self) -> None:
        if self.pts.shape != self.durations.shape or self.pts.ndim != 1:
            raise ValueError(f"pts {self.pts.shape} and durations {self.durations.shape} differ")
        if len(self.pts) > 1 and not bool((np.diff(self.pts) > 0).all()):
            raise ValueError("pts must be strictly increasing")
        if len(self.durations) and int(self.durations.min()) <= 0:
            raise ValueError("durations must be above 0")

    def __len__(self) -> int:
        return len(self.pts)

    def seconds(self, frame: int) -> Fraction:
        """Time of frame `frame` from the first frame, in seconds."""
        return int(self.pts[frame] - self.pts[0]) * self.time_base

    @property
    def length_s(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return self.seconds(len(self.pts) - 1) + int(self.durations[-1]) * self.time_base

    def mean_rate(self) -> float:
        """Frames per second from the first frame to the end of the last; 0 where none lasts."""
        return float(len(self.pts) / self.length_s) if self.length_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """A stretch of the source's clock, half-open, in seconds; None where it has no border."""

    start: Fraction | None
    stop: Fraction | None
