"""The output frames of a job: when each is shown, and which source frames it needs.

One source frame as it is, or two neighbours with a phase, between which an interpolator makes it.
Not for: deciding on them (`farm.media.retime`) or cutting them into chunks (`scheduler.chunks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.media.timing import FrameTimes, TimeRange


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputFrames:
    """What the result shows, in display order; made by `output_frames`."""

    times: FrameTimes
    """On the source's clock."""
    first: NDArray[np.int64]
    """[n] source frame that each shows, never falling."""
    second: NDArray[np.int64]
    """[n] the same, or the needed source frame after it where one is made between the two."""
    phases: NDArray[np.float64]
    """[n] 0 for the first frame as it is, up to 1 for the second."""
    needed: NDArray[np.int64]
    """[m] source frames that any of them needs, ascending; others are not processed."""
    cut: TimeRange | None
    """The stretch that is kept of the source, None for the whole."""
    rate: Fraction | None
    """Frames per second where they were changed; a hint for encoders, never a clock."""

    def __post_init__(self) -> None:
        shape = (len(self.times),)
        if not self.first.shape == self.second.shape == self.phases.shape == shape:
            raise ValueError(f"{len(self.first)} frames for {len(self.times)} times")

    def __len__(self) -> int:
        return len(self.first)

    def places(self, start: int, stop: int) -> tuple[int, int]:
        """Half-open range in `needed` of what the output frames `start` to `stop` show."""
        low, high = np.searchsorted(self.needed, [self.first[start], self.second[stop - 1]])
        return int(low), int(high) + 1

    @property
    def key(self) -> tuple[bytes, ...]:
        """What tells it from another one."""
        arrays = (self.times.pts, self.times.durations, self.first, self.second, self.phases)
        return tuple(each.tobytes() for each in arrays)


def output_frames(
    times: FrameTimes,
    first: NDArray[np.int64],
    *,
    second: NDArray[np.int64] | None = None,
    phases: NDArray[np.float64] | None = None,
    cut: TimeRange | None = None,
    rate: Fraction | None = None,
) -> OutputFrames:
    """Make output frames that show one source frame each, or, with phases, one between two."""
    second = first if second is None else second
    return OutputFrames(
        times=times,
        first=first,
        second=second,
        phases=np.zeros(len(first)) if phases is None else phases,
        needed=np.unique(np.concatenate([first, second])),
        cut=cut,
        rate=rate,
    )


def every_frame(times: FrameTimes) -> OutputFrames:
    """Every source frame once, at its own time."""
    return output_frames(times, np.arange(len(times), dtype=np.int64))
