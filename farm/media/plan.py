"""The plan of frames: which source frames a player shows, and when each output frame is shown.

A pure function of index and listing. Not for: cutting into chunks (`scheduler.chunks`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from farm.errors import MediaError, SettingsError
from farm.media.index import NO_PTS, VideoIndex
from farm.media.listing import FrameListing
from farm.media.timing import FrameTimes
from farm.report import Damage

_FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramePlan:
    """Source frames in display order, each output frame being one of them."""

    packets: NDArray[np.int64]
    """[n] number of the packet that shows each frame."""
    times: FrameTimes
    damage: tuple[Damage, ...]
    """Places where the source does not decode as it should."""
    notes: tuple[str, ...] = ()
    """Deviations from the source's own timestamps, to be said."""

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
        return FramePlan(packets=order, times=_times(index, order, index.pts[order])[0], damage=())
    if (listing.packets < 0).any():
        raise MediaError(f"{index.path}: the decoder of {index.stream.codec} does not say which packet "
                         "a frame came from; convert the video first")  # fmt: skip
    keep = _first_of_each(listing.packets)
    packets = listing.packets[keep]
    times, notes = _times(index, packets, listing.pts[keep])
    plan = FramePlan(packets=packets, times=times, damage=(), notes=notes)
    return replace(plan, damage=_damage(index, listing, plan, listing.corrupt[keep]))


def cut_plan(plan: FramePlan, start_s: float, count: int) -> FramePlan:
    """Return the stretch of `count` frames from the frame shown at `start_s`, moved to time zero.

    Args:
        plan: The whole plan.
        start_s: Seconds from the first frame.
        count: Frames to keep; fewer at the end of the video.

    Raises:
        SettingsError: The video ends before `start_s`.
    """
    times = plan.times
    tick = Fraction(start_s).limit_denominator(1_000_000) / times.time_base + int(times.pts[0])
    end = int(times.pts[-1] + times.durations[-1])
    if tick >= end or start_s < 0:
        whole = float((end - int(times.pts[0])) * times.time_base)
        raise SettingsError(f"--at {start_s}: the video lasts {whole:.2f} s")
    first = max(0, int(np.searchsorted(times.pts, int(tick), side="right")) - 1)
    cut = slice(first, first + count)
    moved = FrameTimes(
        time_base=times.time_base,
        pts=times.pts[cut] - times.pts[first],
        durations=times.durations[cut],
    )
    return FramePlan(packets=plan.packets[cut], times=moved, damage=(), notes=plan.notes)


def _first_of_each(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return positions of the first frame of each packet, in order."""
    return np.sort(np.unique(packets, return_index=True)[1])


def _times(
    index: VideoIndex, packets: NDArray[np.int64], pts: NDArray[np.int64]
) -> tuple[FrameTimes, tuple[str, ...]]:
    """Return strictly increasing display times, and a note where they are not the file's own."""
    time_base = index.stream.time_base
    notes: tuple[str, ...] = ()
    if (pts == NO_PTS).any():
        rate = index.stream.frame_rate or _FALLBACK_RATE
        pts = np.arange(len(pts), dtype=np.int64) * rate.denominator
        time_base = Fraction(1, rate.numerator)
        durations = np.full(len(pts), rate.denominator, dtype=np.int64)
        notes = (f"the source has no timestamps: frames are shown at {float(rate):.3f} fps",)
        return FrameTimes(time_base=time_base, pts=pts, durations=durations), notes
    last = int(index.durations[packets[-1]]) if len(packets) else 0
    if (np.diff(pts) <= 0).any():
        pts, notes = _increasing(pts, index)
    return FrameTimes(time_base=time_base, pts=pts, durations=_durations(pts, last)), notes


def _increasing(
    pts: NDArray[np.int64], index: VideoIndex
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Put timestamps into display order; where they restart, go on from the last one."""
    if len(np.unique(pts)) == len(pts) and "avi" in index.container:
        return np.sort(pts), ()
    steps = np.diff(pts)
    usual = max(1, int(np.median(steps[steps > 0]))) if (steps > 0).any() else 1
    restarts = int((steps <= 0).sum())
    steps = np.where(steps <= 0, usual, steps)
    moved = np.concatenate([pts[:1], pts[0] + np.cumsum(steps)])
    return moved, (f"the source's timestamps go back {restarts} times: later frames follow on",)


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
    found = [
        Damage(time_s=plan.times.seconds(frame), frames_lost=0, reason="decoded with errors")
        for frame in np.flatnonzero(corrupt)
    ]
    for packet in listing.failed_packets:
        after = int(np.searchsorted(np.sort(plan.packets), packet))
        frame = min(after, len(plan) - 1)
        found.append(
            Damage(time_s=plan.times.seconds(frame), frames_lost=1, reason="does not decode")
        )
    end = len(plan) - 1
    found += [
        Damage(time_s=plan.times.seconds(end), frames_lost=0, reason=reason)
        for reason in index.damage
    ]
    return tuple(sorted(found, key=lambda d: d.time_s))
