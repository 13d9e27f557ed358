"""The plan of frames: which source frames a player shows, when, and what the result shows of them.

A pure function of index and listing. Not for: other times than the source's (`farm.media.retime`)
or cutting into chunks (`scheduler.chunks`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.index import NO_PTS, VideoIndex
from farm.media.listing import FrameListing
from farm.media.output import OutputFrames, every_frame
from farm.media.timing import FrameTimes
from farm.report import Damage

_FALLBACK_RATE = Fraction(25)
_REORDER_FRAMES = 16
"""How far decode order and display order are apart at most; the bound of H.264 and HEVC."""
_RESTART_S = Fraction(1, 2)
"""Timestamps that go back by more than this start anew."""


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
        times, _ = _times(index, order, index.pts[order])
        return FramePlan(packets=order, times=times, output=every_frame(times))
    if (listing.packets < 0).any():
        raise MediaError(
            f"{index.path}: the decoder of {index.stream.codec} does not say which packet "
            "a frame came from; convert the video first"
        )
    keep = _first_of_each(listing.packets)
    packets = listing.packets[keep]
    times, notes = _times(index, packets, listing.pts[keep])
    plan = FramePlan(packets=packets, times=times, output=every_frame(times), notes=notes)
    return replace(plan, damage=_damage(index, listing, plan, listing.corrupt[keep]))


def _first_of_each(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return positions of the first frame of each packet, in order."""
    return np.sort(np.unique(packets, return_index=True)[1])


def _times(
    index: VideoIndex, packets: NDArray[np.int64], pts: NDArray[np.int64]
) -> tuple[FrameTimes, tuple[str, ...]]:
    """Return strictly increasing display times, and notes where they are not the file's own."""
    time_base, notes = index.stream.time_base, []
    missing = int((pts == NO_PTS).sum())
    if missing == len(pts):
        dts = np.sort(index.dts[packets])
        if dts[0] == NO_PTS or bool((np.diff(dts) <= 0).any()):
            return _regular_times(index, len(pts))
        pts = dts
    elif missing:
        pts = _filled(pts, _step(index, pts))
        notes.append(f"{missing} frames have no timestamp: they are shown between their neighbours")
    if (np.diff(pts) <= 0).any():
        pts, note = _increasing(index, pts)
        notes += note
    durations = _durations(pts, int(index.durations[packets[-1]]))
    return FrameTimes(time_base=time_base, pts=pts, durations=durations), tuple(notes)


def _regular_times(index: VideoIndex, count: int) -> tuple[FrameTimes, tuple[str, ...]]:
    """Return the times of a source that has none: one frame after another."""
    rate = index.stream.frame_rate or _FALLBACK_RATE
    times = FrameTimes(
        time_base=Fraction(1, rate.numerator),
        pts=np.arange(count, dtype=np.int64) * rate.denominator,
        durations=np.full(count, rate.denominator, dtype=np.int64),
    )
    return times, (f"the source has no timestamps: frames are shown at {float(rate):.3f} fps",)


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


def _increasing(
    index: VideoIndex, pts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Make timestamps strictly increasing.

    Those that only come in decode order are sorted. Where the clock restarts, frames follow on from
    the last one; a frame that is not later than the one before it is moved by a tick.
    """
    ranks = np.argsort(np.argsort(pts, kind="stable"))
    disorder = int(np.abs(ranks - np.arange(len(pts))).max())
    if len(np.unique(pts)) == len(pts) and disorder <= _REORDER_FRAMES:
        return np.sort(pts), ()
    step = _step(index, pts)
    restart_ticks = round(_RESTART_S / index.stream.time_base)
    moved, offset, restarts, nudged = [int(pts[0])], 0, 0, 0
    for tick in pts[1:].tolist():
        last = moved[-1]
        if last - (tick + offset) > restart_ticks:
            offset = last + step - tick
            restarts += 1
        nudged += tick + offset <= last
        moved.append(max(last + 1, tick + offset))
    notes = (
        f"the source's timestamps go back {restarts} times: later frames follow on",
        f"{nudged} frames have the time of another one: they are shown a tick later",
    )
    said = tuple(note for note, count in zip(notes, (restarts, nudged), strict=True) if count)
    return np.array(moved, dtype=np.int64), said


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
