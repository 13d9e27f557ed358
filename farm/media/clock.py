"""Files whose clock jumps: recordings that were joined, or streams that were interrupted.

The video says where the clock jumps and by how much; every other stream is moved with it, each at
its own jump. Not for: the video's own times (`farm.media.plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

BACK_S = Fraction(1, 2)
"""A clock that goes back by more than this jumps."""
FORWARD_S = Fraction(10)
"""So does one that goes on by more than this, in formats that know jumps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSegment:
    """A stretch of a file without a jump."""

    start_s: Fraction
    stop_s: Fraction
    """What the video's own clock shows there."""
    moved_s: Fraction
    """What is added to it, so that the stretch follows on the one before."""

    def distance(self, time_s: Fraction) -> Fraction:
        """How far a time lies outside of the stretch."""
        return max(self.start_s - time_s, time_s - self.stop_s, Fraction(0))


class ClockFollower:
    """Tells for one stream, packet by packet in the order of the file, where each belongs."""

    def __init__(self, segments: Sequence[ClockSegment]) -> None:
        """Begin in the first of the video's stretches; none at all is a clock without a jump."""
        self._segments = segments
        self._at = 0
        self._last_s: Fraction | None = None
        self._end_s: Fraction | None = None

    def place(self, begin_s: Fraction, duration_s: Fraction) -> Fraction | None:
        """When a packet begins on the clock that goes on.

        Args:
            begin_s: What the file says.
            duration_s: How long it lasts.

        Returns:
            None for a packet that would begin while the one before it lasts: where two recordings
            are joined, the sound of the first may reach into the second.
        """
        if not self._segments:
            return begin_s
        if self._last_s is not None and self._jumps(begin_s - self._last_s):
            self._advance(begin_s)
        self._last_s = begin_s
        placed = begin_s + self._segments[self._at].moved_s
        if self._end_s is not None and placed < self._end_s - duration_s / 2:
            return None
        self._end_s = placed + duration_s
        return placed

    @staticmethod
    def _jumps(step_s: Fraction) -> bool:
        return step_s < -BACK_S or step_s > FORWARD_S

    def _advance(self, begin_s: Fraction) -> None:
        """Go to the stretch ahead that fits best, if one does better than this one."""
        ahead = range(self._at + 1, len(self._segments))
        best = min(ahead, key=lambda i: (self._segments[i].distance(begin_s), i), default=self._at)
        here = self._segments[self._at].distance(begin_s)
        if self._segments[best].distance(begin_s) <= here:
            self._at = best
