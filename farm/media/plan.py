"""The plan of frames: which source frames a player shows, when, and what the result shows of them.

A pure function of index and listing. Not for: other times than the source's (`farm.media.retime`)
or cutting into chunks (`scheduler.chunks`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.clock import BACK_S, FORWARD_S, ClockSegment
from farm.media.index import NO_PTS, VideoIndex
from farm.media.listing import FrameListing
from farm.media.output import OutputFrames, every_frame
from farm.media.timing import FrameTimes
from farm.report import Damage

_FALLBACK_RATE = Fraction(25)
_OFF_RATE = Fraction(1, 50)
"""How far the shortest frame may be off the frame rate, as a share."""
_REORDER_FRAMES = 16
"""How far decode order and display order are apart at most; the bound of H.264 and HEVC."""
_JUMPING_FORMATS = frozenset({"mpegts"})
"""Formats in which a long gap is a clock that was set anew."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramePlan:
    """Source frames in display order, and the output frames that are made of them."""

    packets: NDArray[np.int64]
    """[n] number of the packet that shows each source frame."""
    times: FrameTimes
    """Of the source frames."""
    output: OutputFrames
    """What the result shows; each source frame once where nothing else was asked for."""
    damage: tuple[Damage, ...] = ()
    """Places where the source does not decode as it should."""
    clock: tuple[ClockSegment, ...] = ()
    """The stretches of a source whose clock jumps; empty for one without a jump."""
    notes: tuple[str, ...] = ()
    """Deviations from the source's own timestamps, to be said."""
    looks: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Places in `output.needed` of the frames that the content filter looks at."""

    def __len__(self) -> int:
        return len(self.packets)


def plan_frames(index: VideoIndex, listing: FrameListing | None) -> FramePlan:
    """Make the plan from a trusted index, or from the listing of an untrusted one.

    Args:
        index: The packets.
        listing: What a serial decode showed; None where the index is trusted.

    Raises:
        MediaError: No frame is shown.
    """
    if listing is None:
        order = np.argsort(index.pts, kind="stable")
        timed = _times(index, order, index.pts[order])
        return _plan(order, timed)
    if (listing.packets < 0).any():
        raise MediaError(
            f"{index.path}: the decoder of {index.stream.codec} does not say which packet "
            "a frame came from; convert the video first"
        )
    keep = _first_of_each(listing.packets)
    packets = listing.packets[keep]
    plan = _plan(packets, _times(index, packets, listing.pts[keep]))
    return replace(plan, damage=_damage(index, listing, plan, listing.corrupt[keep]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Timed:
    """Display times, and what is to be said of them."""

    times: FrameTimes
    clock: tuple[ClockSegment, ...] = ()
    notes: tuple[str, ...] = ()


def _plan(packets: NDArray[np.int64], timed: _Timed) -> FramePlan:
    """Return the plan that shows every frame."""
    output = every_frame(timed.times)
    return FramePlan(
        packets=packets,
        times=timed.times,
        output=output,
        clock=timed.clock,
        notes=timed.notes,
    )


def _first_of_each(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return positions of the first frame of each packet, in order."""
    return np.sort(np.unique(packets, return_index=True)[1])


def _times(index: VideoIndex, packets: NDArray[np.int64], pts: NDArray[np.int64]) -> _Timed:
    """Return strictly increasing display times, and notes where they are not the file's own."""
    time_base, notes = index.stream.time_base, []
    clock: tuple[ClockSegment, ...] = ()
    missing = int((pts == NO_PTS).sum())
    if missing == len(pts):
        dts = np.sort(index.dts[packets])
        if dts[0] == NO_PTS or bool((np.diff(dts) <= 0).any()):
            return _times_by_length(index, packets) or _regular_times(index, len(pts))
        pts = dts
    elif missing:
        pts = _filled(pts, _step(index, pts))
        notes.append(f"{missing} frames have no timestamp: they are shown between their neighbours")
    if (np.diff(pts) <= 0).any() and _is_reordered(pts):
        pts = np.sort(pts)
    if (np.diff(pts) <= 0).any() or (np.diff(pts) > _most_ticks(index)).any():
        pts, clock, note = _increasing(index, pts)
        notes += note
    durations = _durations(pts, int(index.durations[packets[-1]]))
    times = FrameTimes(time_base=time_base, pts=pts, durations=durations)
    return _Timed(times=times, clock=clock, notes=tuple(notes))


def _times_by_length(index: VideoIndex, packets: NDArray[np.int64]) -> _Timed | None:
    """Return the times of frames that stay for different times, as repeated fields make them.

    None where the packets do not say how long, or all say the same.
    """
    lengths, rate = index.durations[packets], index.stream.frame_rate
    shortest = int(lengths.min()) * index.stream.time_base
    if rate is None or shortest <= 0 or int(lengths.max()) == int(lengths.min()):
        return None
    if abs(shortest * rate - 1) > _OFF_RATE:
        return None
    pts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    times = FrameTimes(time_base=index.stream.time_base, pts=pts, durations=lengths)
    note = "the source has no timestamps: frames are shown for as long as their fields say"
    return _Timed(times=times, notes=(note,))


def _regular_times(index: VideoIndex, count: int) -> _Timed:
    """Return the times of a source that has none: one frame after another."""
    rate = index.stream.frame_rate or _FALLBACK_RATE
    times = FrameTimes(
        time_base=Fraction(1, rate.numerator),
        pts=np.arange(count, dtype=np.int64) * rate.denominator,
        durations=np.full(count, rate.denominator, dtype=np.int64),
    )
    note = f"the source has no timestamps: frames are shown at {float(rate):.3f} fps"
    return _Timed(times=times, notes=(note,))


def _step(index: VideoIndex, pts: NDArray[np.int64]) -> int:
    """Return the usual distance of two frames in ticks, at least 1."""
    known = pts[pts != NO_PTS]
    steps = np.diff(known)
    if (steps > 0).any():
        return max(1, int(np.median(steps[steps > 0])))
    return max(1, round(1 / ((index.stream.frame_rate or _FALLBACK_RATE) * index.stream.time_base)))


def _filled(pts: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Put frames without a timestamp evenly between those that have one."""
    known = np.flatnonzero(pts != NO_PTS)
    first, last = int(known[0]), int(known[-1])
    origin = pts[first]
    inside = np.interp(np.arange(len(pts)), known, (pts[known] - origin).astype(np.float64))
    filled: NDArray[np.int64] = origin + np.round(inside).astype(np.int64)
    filled[:first] = origin - step * np.arange(first, 0, -1)
    filled[last + 1 :] = pts[last] + step * np.arange(1, len(pts) - last)
    return filled


def _is_reordered(pts: NDArray[np.int64]) -> bool:
    """Tell whether timestamps only come in decode order: each is there once, and near its place."""
    ranks = np.argsort(np.argsort(pts, kind="stable"))
    disorder = int(np.abs(ranks - np.arange(len(pts))).max())
    return len(np.unique(pts)) == len(pts) and disorder <= _REORDER_FRAMES


def _most_ticks(index: VideoIndex) -> int:
    """Return the longest step from one frame to the next that is no jump of the clock."""
    if not set(index.container.split(",")) & _JUMPING_FORMATS:
        return np.iinfo(np.int64).max
    return math.floor(FORWARD_S / index.stream.time_base)


def _increasing(
    index: VideoIndex, pts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[ClockSegment, ...], tuple[str, ...]]:
    """Make timestamps strictly increasing.

    Where the clock jumps, frames follow on from the last one; a frame that is not later than the
    one before it is moved by a tick.

    Returns:
        The timestamps, the stretches between jumps (none without a jump), and notes.
    """
    step, most = _step(index, pts), _most_ticks(index)
    back_ticks = round(BACK_S / index.stream.time_base)
    moved, offset, nudged = [int(pts[0])], 0, 0
    starts, offsets = [0], [0]
    for number, tick in enumerate(pts[1:].tolist(), start=1):
        last = moved[-1]
        if last - (tick + offset) > back_ticks or tick + offset - last > most:
            offset = last + step - tick
            starts.append(number)
            offsets.append(offset)
        nudged += tick + offset <= last
        moved.append(max(last + 1, tick + offset))
    jumps = len(starts) - 1
    notes = (
        f"the source's clock jumps {jumps} times: later frames and sound follow on",
        f"{nudged} frames have the time of another one: they are shown a tick later",
    )
    said = tuple(note for note, count in zip(notes, (jumps, nudged), strict=True) if count)
    clock = _segments(index, pts, starts, offsets) if jumps else ()
    return np.array(moved, dtype=np.int64), clock, said


def _segments(
    index: VideoIndex, pts: NDArray[np.int64], starts: list[int], offsets: list[int]
) -> tuple[ClockSegment, ...]:
    """Return the stretches that begin at these frames and are moved by so many ticks."""
    tick = index.stream.time_base
    parts = np.split(pts, starts[1:])
    return tuple(
        ClockSegment(
            start_s=int(part.min()) * tick, stop_s=int(part.max()) * tick, moved_s=offset * tick
        )
        for part, offset in zip(parts, offsets, strict=True)
    )


def _durations(pts: NDArray[np.int64], last: int) -> NDArray[np.int64]:
    """Return how long each frame stays: until the next, the last one as long as its packet says."""
    steps = np.diff(pts)
    if last <= 0:
        last = int(np.median(steps)) if len(steps) else 1
    return np.concatenate([steps, [last]]).astype(np.int64)


def _damage(
    index: VideoIndex, listing: FrameListing, plan: FramePlan, corrupt: NDArray[np.bool_]
) -> tuple[Damage, ...]:
    """Say where frames are missing or decoded with errors."""
    times = plan.times
    found = [
        Damage(time_s=times.seconds(int(frame)), frames_lost=0, reason="decoded with errors")
        for frame in np.flatnonzero(corrupt)
    ]
    order = np.argsort(plan.packets)
    places = np.searchsorted(plan.packets[order], listing.failed_packets)
    found += [
        Damage(time_s=times.seconds(int(frame)), frames_lost=1, reason="does not decode")
        for frame in order[np.minimum(places, len(plan) - 1)]
    ]
    end_s = times.seconds(len(plan) - 1)
    found += [Damage(time_s=end_s, frames_lost=0, reason=reason) for reason in index.damage]
    return tuple(sorted(found, key=lambda d: d.time_s))
