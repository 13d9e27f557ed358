"""Which frames of a plan to look at, so that no two neighbours are more than some seconds apart.

Not for: looking at them (`farm.content`).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.media.plan import FramePlan


def places_to_look_at(plan: FramePlan, every_s: float) -> NDArray[np.int64]:
    """Places in the plan's needed source frames, no two neighbours further apart than `every_s`."""
    ticks = every_s / plan.times.time_base
    pts = plan.times.pts[plan.output.needed]
    every = np.arange(len(pts), dtype=np.int64)
    chosen = spread(pts, every, float(ticks))
    return every if chosen is None else chosen


def spread(
    pts: NDArray[np.int64], candidates: NDArray[np.int64], ticks: float
) -> NDArray[np.int64] | None:
    """As few candidates as possible with no gap above `ticks`.

    Args:
        pts: [n] ticks of all frames, increasing.
        candidates: [m] frames to choose among, increasing.
        ticks: The widest gap allowed, also before the first and behind the last one.

    Returns:
        [k] of the candidates; None where they are too far apart. Frames further apart than `ticks`
        from their own neighbours are no reason for that: what lies between does not exist.
    """
    chosen: list[int] = []
    for number in candidates.tolist():
        if not chosen:
            chosen.append(number)
        elif len(chosen) > 1 and pts[number] - pts[chosen[-2]] <= ticks:
            chosen[-1] = number
        else:
            chosen.append(number)
    edges = [0, *chosen, len(pts) - 1]
    for left, right in pairwise(edges):
        if right - left > 1 and pts[right] - pts[left] > ticks:
            return None
    return np.array(chosen, dtype=np.int64) if chosen else None
