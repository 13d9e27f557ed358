"""Giving the packets of all chunks the times of the plan.

The encoder's times are thrown away: each packet knows the frame that it shows, and decode times are
made anew with one reorder depth for the whole job, so they never step back where chunks meet. Not
for: muxing (`farm.media.join`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.errors import JobError
from farm.media.timing import FrameTimes

_LEAST_TIMESCALE = 10_000
_MOST_TIMESCALE = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PacketTimes:
    """Times of every packet, in decode order over the whole output, in ticks of `1 / timescale`."""

    timescale: int
    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    durations: NDArray[np.int64]
    reorder_depth: int


def timescale_of(time_base: Fraction, shift: Fraction = Fraction(0)) -> int:
    """Ticks per second that hold time base and shift exactly: the least that is not coarse.

    MP4 keeps the starts of other streams in ticks as well, so a scale of 25 would move them.

    Raises:
        JobError: no MP4 has so many ticks per second.
    """
    scale = math.lcm(time_base.denominator, shift.denominator)
    if scale > _MOST_TIMESCALE:
        raise JobError(
            f"a time base of {time_base} s cannot be kept with a start moved by {shift} s; "
            "remux the source first, for example to .mkv"
        )
    factor = -(-_LEAST_TIMESCALE // scale)
    return scale * factor if scale * factor <= _MOST_TIMESCALE else scale


def restamp(
    order: Sequence[int] | NDArray[np.int64], times: FrameTimes, shift: Fraction = Fraction(0)
) -> PacketTimes:
    """Time packets by the frames that they show.

    Args:
        order: Output frame number of each packet, in decode order; each frame exactly once.
        times: The plan's times.
        shift: Seconds that are added to every time.

    Raises:
        JobError: frames are missing or there twice.
    """
    frames = np.asarray(order, dtype=np.int64)
    count = len(times)
    if len(frames) != count or not np.array_equal(np.sort(frames), np.arange(count)):
        raise JobError(f"the chunks hold {len(frames)} packets for {count} frames; render again")
    timescale = timescale_of(times.time_base, shift)
    ticks = int(times.time_base * timescale)
    shown = times.pts * ticks + int(shift * timescale)
    depth = int((np.arange(count) - frames).max(initial=0))
    return PacketTimes(
        timescale=timescale,
        pts=shown[frames],
        dts=_decode_times(shown, depth),
        durations=(times.durations * ticks)[frames],
        reorder_depth=depth,
    )


def _decode_times(shown: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
    """Display times moved back by `depth` places, carried on before the first at its distance."""
    if depth == 0:
        return shown.copy()
    step = int(shown[1] - shown[0])
    before = shown[0] - step * np.arange(depth, 0, -1)
    return np.concatenate([before, shown[: len(shown) - depth]])
