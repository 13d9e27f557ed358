"""Changing when frames are shown and which: trimming, another frame rate, frames in between.

Pure functions from plan to plan, in exact numbers. Not for: making frames between others
(`farm.processors.frame_interpolator`) or cutting the sound (`farm.media.stream_cut`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.errors import SettingsError
from farm.media.output import OutputFrames, output_frames
from farm.media.plan import FramePlan
from farm.media.timing import FrameTimes, TimeRange

_LONG_S = Fraction(1, 10)
"""A frame that stays longer is cut itself; elsewhere a cut goes to the nearest frame border."""
_SLIVER_S = Fraction(1, 100)
_NEAR_PHASE = 1 / 32
"""Nearer than this to a source frame, that frame is shown and none is made."""
_MOST_TICKS = 2**62


def trim(plan: FramePlan, start_s: Fraction | None, stop_s: Fraction | None) -> FramePlan:
    """Keep a stretch of the video.

    Cuts lie on the nearest border of two frames; only a frame that stays longer than 0.1 s is
    itself cut.

    Args:
        plan: The whole.
        start_s: Seconds from the first frame; None or 0 for the beginning.
        stop_s: Seconds from the first frame, not kept any more; None for the end.

    Raises:
        SettingsError: Nothing would be left.
    """
    times, end = plan.output.times, _end(plan.output.times)
    origin, whole_s = int(times.pts[0]), _seconds(plan.output.times)
    if start_s and start_s >= whole_s:
        raise SettingsError(f"--start {float(start_s):g}: the video lasts {float(whole_s):.3f} s")
    start = _border(times, origin + start_s / times.time_base) if start_s else origin
    stop = end if stop_s is None else _border(times, origin + stop_s / times.time_base)
    first = int(np.searchsorted(times.pts, start, side="right")) - 1
    after = int(np.searchsorted(times.pts, stop, side="left"))
    if stop <= start or after <= first:
        raise SettingsError(
            f"--start {float(start_s or 0):g} --end {float(stop_s or whole_s):g}: "
            f"no frame is shown between; the video lasts {float(whole_s):.3f} s"
        )
    late = None if stop_s is None else stop * times.time_base
    if stop_s is not None and stop == end:
        late = max(Fraction(stop), origin + stop_s / times.time_base) * times.time_base
    cut = TimeRange(start=start * times.time_base if start_s else None, stop=late)
    kept = _kept(plan, slice(first, after), start, stop, cut)
    shown = [float((tick - origin) * times.time_base) for tick in (start, stop)]
    note = f"trimmed: {after - first} of {len(times)} frames, {shown[0]:.3f} to {shown[1]:.3f} s"
    return replace(kept, notes=(*kept.notes, note))


def stretch(plan: FramePlan, start_s: float, count: int) -> FramePlan:
    """Keep `count` frames from the frame on screen at `start_s`; fewer at the end of the video.

    Args:
        plan: The whole.
        start_s: Seconds from the first frame.
        count: Frames to keep.

    Raises:
        SettingsError: The video ends before `start_s`.
    """
    times = plan.output.times
    tick = Fraction(start_s).limit_denominator(1_000_000) / times.time_base + int(times.pts[0])
    if tick >= _end(times) or start_s < 0:
        raise SettingsError(f"--at {start_s}: the video lasts {float(_seconds(times)):.2f} s")
    first = max(0, int(np.searchsorted(times.pts, int(tick), side="right")) - 1)
    start, last = int(times.pts[first]), min(first + count, len(times)) - 1
    stop = int(times.pts[last] + times.durations[last])
    cut = TimeRange(start=start * times.time_base, stop=stop * times.time_base)
    return _kept(plan, slice(first, last + 1), start, stop, cut)


def at_rate(plan: FramePlan, rate: Fraction, *, between: bool = False) -> FramePlan:
    """Show frames at a constant rate, from the first one on.

    Args:
        plan: The frames until now.
        rate: Frames per second.
        between: Whether frames are made between others; else each output frame shows the source
            frame whose time, rounded to the new rate, is the last one up to its own.

    Raises:
        SettingsError: The rate and the source's clock have no common tick.
    """
    old = plan.output
    start_s = int(old.times.pts[0]) * old.times.time_base
    time_base = Fraction(1, math.lcm(rate.numerator, start_s.denominator))
    count = max(1, round(_seconds(old.times) * rate))
    step = int(1 / (rate * time_base))
    due = int(start_s / time_base) + step * np.arange(count, dtype=np.int64)
    times = FrameTimes(time_base=time_base, pts=due, durations=np.full(count, step, dtype=np.int64))
    unit = Fraction(1, math.lcm(old.times.time_base.denominator, 2 * rate.numerator))
    if _seconds(old.times) / unit > _MOST_TICKS:
        raise SettingsError(f"--fps {rate}: does not fit the clock of the source; take another")
    shown = (old.times.pts - old.times.pts[0]) * int(old.times.time_base / unit)
    half = int(1 / (2 * rate * unit))
    places = 2 * half * np.arange(count, dtype=np.int64)
    if between:
        low, high, phases = _between(shown, places)
    else:
        low = np.maximum(np.searchsorted(shown, places + half, side="left") - 1, 0)
        high, phases = low, np.zeros(count)
    new = output_frames(
        times, old.first[low], second=old.first[high], phases=phases, cut=old.cut, rate=rate
    )
    return replace(plan, output=new, notes=(*plan.notes, *_rate_notes(rate, old, low, high)))


def multiplied(plan: FramePlan, factor: int, frame_rate: Fraction | None) -> FramePlan:
    """Put `factor - 1` frames between every two, evenly; the last one stays as long as it did.

    Args:
        plan: The frames until now.
        factor: 2 or more.
        frame_rate: Hint of the source's rate.
    """
    old, count = plan.output, len(plan.output)
    steps, parts = np.diff(old.times.pts), np.arange(factor, dtype=np.int64)
    inside = old.times.pts[:-1, None] * factor + steps[:, None] * parts
    pts = np.append(inside.ravel(), old.times.pts[-1] * factor)
    last = int(old.times.durations[-1]) * factor
    times = FrameTimes(
        time_base=old.times.time_base / factor,
        pts=pts,
        durations=np.append(np.diff(pts), last).astype(np.int64),
    )
    place = np.append(np.repeat(np.arange(count - 1), factor), count - 1)
    phases = np.append(np.tile(parts / factor, count - 1), 0.0)
    new = output_frames(
        times,
        old.first[place],
        second=old.first[place + (phases > 0)],
        phases=phases,
        cut=old.cut,
        rate=frame_rate * factor if frame_rate else None,
    )
    note = f"{len(new) - count} frames are made between {count} of the source"
    return replace(plan, output=new, notes=(*plan.notes, note))


def _between(
    shown: NDArray[np.int64], places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """For each place the frames before and after it, and where it lies between them."""
    low = np.searchsorted(shown, places, side="right") - 1
    high = np.minimum(low + 1, len(shown) - 1)
    gaps = np.maximum(shown[high] - shown[low], 1)
    phases = np.where(high > low, (places - shown[low]) / gaps, 0.0)
    low = np.where(phases > 1 - _NEAR_PHASE, high, low)
    exact = (phases < _NEAR_PHASE) | (phases > 1 - _NEAR_PHASE)
    return low, np.where(exact, low, high), np.where(exact, 0.0, phases)


def _rate_notes(
    rate: Fraction, old: OutputFrames, low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[str, ...]:
    """Say what another frame rate does to the frames."""
    made = int((low != high).sum())
    plain = low[low == high]
    used = np.unique(np.concatenate([low, high]))
    again, unused = len(plain) - len(np.unique(plain)), len(old) - len(used)
    what = f"{made} are made between two others, " if made else ""
    return (
        f"{float(rate):g} frames per second: of {len(low)} frames {what}{again} repeat another "
        f"one; {unused} of the source are not shown",
    )


def _kept(plan: FramePlan, kept: slice, start: int, stop: int, cut: TimeRange) -> FramePlan:
    """The plan of some of its output frames, shown from tick `start` to tick `stop`."""
    old = plan.output
    pts = old.times.pts[kept].copy()
    pts[0] = max(int(pts[0]), start)
    last = min(int(old.times.pts[kept][-1] + old.times.durations[kept][-1]), stop) - int(pts[-1])
    times = FrameTimes(
        time_base=old.times.time_base,
        pts=pts,
        durations=np.append(np.diff(pts), last).astype(np.int64),
    )
    origin = int(plan.times.pts[0])
    low_s, high_s = ((tick - origin) * times.time_base for tick in (start, stop))
    damage = tuple(each for each in plan.damage if low_s <= each.time_s < high_s)
    new = output_frames(times, old.first[kept], cut=cut, rate=old.rate)
    return replace(plan, output=new, damage=damage)


def _border(times: FrameTimes, at: Fraction) -> int:
    """Tick of the frame border nearest to tick `at`, or `at` itself inside a long frame."""
    frame = max(0, int(np.searchsorted(times.pts, math.floor(at), side="right")) - 1)
    left = int(times.pts[frame])
    right = left + int(times.durations[frame])
    nearest = left if at - left < right - at else right
    sliver = _SLIVER_S / times.time_base
    if (right - left) * times.time_base <= _LONG_S or at >= right or abs(at - nearest) < sliver:
        return nearest
    return round(at)


def _end(times: FrameTimes) -> int:
    """Tick at which the last frame ends."""
    return int(times.pts[-1] + times.durations[-1])


def _seconds(times: FrameTimes) -> Fraction:
    """Seconds from the first frame to the end of the last one."""
    return (_end(times) - int(times.pts[0])) * times.time_base
