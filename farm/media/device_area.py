"""Area averages that a device computes to the same bits as OpenCV does in memory.

An average is exact arithmetic but for its last rounding, so two ways of computing it agree wherever
no average lies between two levels, or where every step before the rounding is exact on both. Other
sizes are not averaged on the device. Not for: running anything (`farm.media.frame_device`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_MOST_STEPS = 1 << 18
"""Bound of levels times places between two levels: float32 tells them apart with room to spare."""
_MOST_SUM = 1 << 24
"""Whole numbers below are exact in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """How one component becomes smaller: weighted sums along both sides, then one rounding."""

    before: tuple[int, int]
    """Columns and rows that there are."""
    after: tuple[int, int]
    """Columns and rows that are wanted."""
    factor: np.float32
    """What the sums are multiplied by."""
    half_up: bool
    """Whether halves go up, as OpenCV does it for blocks of two by two; else to the even level."""
    whole: bool
    """Whether the weights are 0 and 1."""

    def weights(self, axis: int) -> NDArray[np.float32]:
        """[there, wanted] weights along the columns (0) or the rows (1)."""
        there, wanted = self.before[axis], self.after[axis]
        ratio = Fraction(there, wanted)
        found = np.zeros((there, wanted), np.float32)
        for place in range(wanted):
            start, stop = place * ratio, (place + 1) * ratio
            for sample in range(int(start), -int(-stop // 1)):
                share = min(stop, Fraction(sample + 1)) - max(start, Fraction(sample))
                found[sample, place] = float(share if self.whole else share / ratio)
        return found


def exact_average(before: tuple[int, int], after: tuple[int, int], depth: int) -> Average | None:
    """How to average a component down to the bits of OpenCV, None where that cannot be told.

    Args:
        before: Columns and rows of the component.
        after: Columns and rows that are wanted.
        depth: Bits of a sample.
    """
    if after[0] > before[0] or after[1] > before[1] or after == before:
        return None
    ratios = [Fraction(there, wanted) for there, wanted in zip(before, after, strict=True)]
    across, down = ratios
    if across.denominator == down.denominator == 1:
        area = across.numerator * down.numerator
        if area << depth > _MOST_SUM:
            return None
        half_up = across == down == 2
        factor = np.float32(1) / np.float32(area)
        return Average(before=before, after=after, factor=factor, half_up=half_up, whole=True)
    places = across.numerator * down.numerator
    if places % 2 == 0 or places << depth > _MOST_STEPS:
        return None
    return Average(before=before, after=after, factor=np.float32(1), half_up=False, whole=False)
