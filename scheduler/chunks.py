"""Cutting the plan of frames into chunks: a pure function of index and settings.

Never a function of workers or speed, so that any number of workers gives the same output. Chunks that would
decode much of a group of pictures again form a *lane*: they go in order to one worker, which keeps its
decoder open. Not for: who renders what, and when (`scheduler.dispatch`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from farm.media.index import VideoIndex
from farm.media.plan import FramePlan

_LONG_S = 10.0
_SHORT_S = 2.0
_LEAD_SHARE = 0.25
_SLACK = 0.5
_LANE_MARGIN_PACKETS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A contiguous range of output frames and the packets that it takes to decode them."""

    chunk_index: int
    frame_start: int
    frame_stop: int
    """Half-open, 0-based, in display order."""
    packet_start: int
    """The keyframe to decode from."""
    packet_stop: int
    """Half-open; behind the last packet in decode order that the frames need."""
    packet_limit: int
    """Half-open; how far a decoder may be fed that is to stay open for the chunk that follows."""
    lane: int
    """Chunks of one lane go in order to one worker."""

    @property
    def frame_count(self) -> int:
        """Number of output frames."""
        return self.frame_stop - self.frame_start


def default_chunk_seconds(duration_s: float) -> float:
    """Return the chunk length for a video: about a normal keyframe distance, four chunks at least."""
    return min(_LONG_S, max(_SHORT_S, duration_s / 4))


def cut_chunks(index: VideoIndex, plan: FramePlan, chunk_seconds: float | None) -> list[Chunk]:
    """Cut `plan` into chunks, at keyframes where there are any near the wanted length.

    Args:
        index: The packets, for keyframes.
        plan: The frames.
        chunk_seconds: Wanted length; None takes `default_chunk_seconds`.
    """
    stamps = plan.times.pts.astype(np.float64) * float(plan.times.time_base)
    length = float(stamps[-1] - stamps[0]) + float(plan.times.durations[-1] * plan.times.time_base)
    wanted_s = chunk_seconds or default_chunk_seconds(length)
    shown_at = _display_positions(len(index), plan)
    keys = np.flatnonzero(index.keyframes)
    key_frames = np.sort(shown_at[keys][shown_at[keys] >= 0])
    chunks: list[Chunk] = []
    for start, stop in _ranges(stamps, key_frames, wanted_s):
        chunks.append(_chunk(chunks, index, plan, shown_at, start, stop))
    return chunks


def _display_positions(packets: int, plan: FramePlan) -> NDArray[np.int64]:
    """Return for each packet the output frame that it shows, -1 for none."""
    shown_at = np.full(packets, -1, dtype=np.int64)
    shown_at[plan.packets] = np.arange(len(plan))
    return shown_at


def _ranges(
    stamps: NDArray[np.float64], key_frames: NDArray[np.int64], wanted_s: float
) -> list[tuple[int, int]]:
    """Return half-open frame ranges of about `wanted_s`, cut at the nearest keyframe within half of that."""
    ranges = []
    start, count = 0, len(stamps)
    while start < count:
        stop = _next_cut(stamps, key_frames, start, wanted_s)
        ranges.append((start, stop))
        start = stop
    return ranges


def _next_cut(
    stamps: NDArray[np.float64], key_frames: NDArray[np.int64], start: int, wanted_s: float
) -> int:
    """Return the end of the chunk that starts at frame `start`."""
    target_s = stamps[start] + wanted_s
    tolerance_s = wanted_s * _SLACK
    low = max(int(np.searchsorted(stamps, target_s - tolerance_s)), start + 1)
    high = int(np.searchsorted(stamps, target_s + tolerance_s, side="right"))
    near = key_frames[np.searchsorted(key_frames, low) : np.searchsorted(key_frames, high)]
    if len(near):
        return int(near[np.argmin(np.abs(stamps[near] - target_s))])
    # Frame times are rounded to ticks: a cut half a microsecond early takes the frame that is meant.
    return max(start + 1, int(np.searchsorted(stamps, target_s - 5e-7)))


def _chunk(
    before: list[Chunk],
    index: VideoIndex,
    plan: FramePlan,
    shown_at: NDArray[np.int64],
    start: int,
    stop: int,
) -> Chunk:
    """Make the chunk of frames `start` to `stop`, with the packets to carry and its lane."""
    owned = plan.packets[start:stop]
    first, last = int(owned.min()), int(owned.max())
    entry = _entry(index, shown_at, first, start)
    lead = first - entry
    follows = bool(before) and lead > _LEAD_SHARE * (stop - start)
    lane = before[-1].lane if follows else len(before)
    inside = lead > 0 or (stop < len(plan) and not index.keyframes[plan.packets[stop]])
    margin = _LANE_MARGIN_PACKETS if inside else 0
    return Chunk(
        chunk_index=len(before),
        frame_start=start,
        frame_stop=stop,
        packet_start=entry,
        packet_stop=last + 1,
        packet_limit=min(len(index), last + 1 + margin),
        lane=lane,
    )


def _entry(index: VideoIndex, shown_at: NDArray[np.int64], first: int, start: int) -> int:
    """Return the latest keyframe from which all frames from `start` on decode.

    The leading pictures of a keyframe, shown before it, need the keyframe before that one.
    """
    for key in np.flatnonzero(index.keyframes[: first + 1])[::-1]:
        if shown_at[key] <= start:
            return int(key)
    return 0
