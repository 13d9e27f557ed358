"""Cutting the plan of frames into chunks: a pure function of index and settings.

Never a function of workers or speed, so that any number of workers gives the same output. Chunks
that would decode much of a group of pictures again form a *lane*: they go in order to one worker,
which keeps its decoder open. Not for: who renders what, and when (`scheduler.dispatch`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.media.index import VideoIndex
from farm.media.plan import FramePlan
from farm.media.source_groups import lead_frames

_LONG_S = 10.0
_SHORT_S = 2.0
_LEAST_GROUP_S = 0.25
_LEAD_SHARE = 0.25
_SLACK = 0.5
_ROUNDING_S = 5e-7
"""Frame times are rounded to ticks: a cut this much early takes the frame that is meant."""
_LANE_MARGIN_PACKETS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A contiguous range of output frames, and what it takes to decode what they show.

    Source frames are given as places among those that the plan needs (`OutputFrames.needed`).
    """

    chunk_index: int
    frame_start: int
    frame_stop: int
    """Half-open, 0-based, in display order."""
    decode_start: int
    decode_stop: int
    """Half-open: the source frames to decode, with those that processors want around them."""
    owned_start: int
    owned_stop: int
    """Half-open: the source frames that count as this chunk's; each is counted by one chunk."""
    held_from: int
    """From this source frame on, the chunk that follows in the lane wants them too."""
    packet_start: int
    """The keyframe to decode from."""
    packet_stop: int
    """Half-open; behind the last packet in decode order that shows one of the frames."""
    packet_limit: int
    """Half-open; how far a decoder may be fed that is to stay open for the chunk that follows."""
    lane: int
    """Chunks of one lane go in order to one worker."""

    @property
    def frame_count(self) -> int:
        """Number of output frames."""
        return self.frame_stop - self.frame_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How many source frames around a chunk its processors want to see."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """Index and plan, prepared for looking up."""

    packets: int
    """How many there are."""
    plan: FramePlan
    lead: Lead
    shown_at: NDArray[np.int64]
    """[packets] source frame that each packet shows, -1 for none."""
    shown: NDArray[np.int64]
    """Packets that show a source frame, ascending."""
    keys: NDArray[np.int64]
    """Keyframe packets, ascending."""
    is_key: NDArray[np.bool_]
    """[packets]"""


def default_chunk_seconds(duration_s: float) -> float:
    """Return the usual length: about a normal keyframe distance, and four chunks at least."""
    return min(_LONG_S, max(_SHORT_S, duration_s / 4))


def cut_chunks(
    index: VideoIndex,
    plan: FramePlan,
    chunk_seconds: float | None,
    lead: Lead | None = None,
    *,
    every_group: bool = False,
) -> list[Chunk]:
    """Cut the output frames of `plan` into chunks, at keyframes near the wanted length.

    Args:
        index: The packets, for keyframes.
        plan: The frames.
        chunk_seconds: Wanted length; None takes `default_chunk_seconds`.
        lead: What processors want around each chunk; None for nothing.
        every_group: Whether each group of pictures is a chunk of its own, so that it can be copied
            by itself, and the leading pictures of open groups too; groups of less than a quarter
            of a second stay together.
    """
    source = _prepare(index, plan, lead or Lead())
    stamps, keys = _stamps(plan), _key_frames(source)
    ranges = _ranges(stamps, keys, _wanted_s(plan, chunk_seconds))
    if every_group:
        leads = lead_frames(plan.packets[plan.output.first], keys)
        ranges = _at_keys(ranges, dict(zip(keys.tolist(), leads.tolist(), strict=True)), stamps)
    return _chunks(source, ranges)


def cut_at_anchors(
    index: VideoIndex,
    plan: FramePlan,
    chunk_seconds: float | None,
    distance: int,
    wanted: tuple[int, int],
) -> list[Chunk]:
    """Cut for an analysis: each chunk begins at an anchor, and decodes the one behind it too.

    Args:
        index: The packets, for keyframes.
        plan: Frames of which each is an output frame.
        chunk_seconds: Wanted length; None takes `default_chunk_seconds`.
        distance: Frames from one anchor to the next; frame 0 is one.
        wanted: Half-open range of frames; chunks that hold none of them are left out.
    """
    source = _prepare(index, plan, Lead(after=1))
    ranges: list[tuple[int, int]] = []
    start = 0
    for _, stop in _ranges(_stamps(plan), _key_frames(source), _wanted_s(plan, chunk_seconds)):
        anchor = min(-(-stop // distance) * distance, len(plan.output))
        if anchor > start:
            ranges.append((start, anchor))
            start = anchor
    return _chunks(source, [each for each in ranges if each[1] > wanted[0] and each[0] < wanted[1]])


def _stamps(plan: FramePlan) -> NDArray[np.float64]:
    """Return when each output frame is shown, in seconds from the first one."""
    times = plan.output.times
    stamps: NDArray[np.float64] = (times.pts - times.pts[0]) * float(times.time_base)
    return stamps


def _wanted_s(plan: FramePlan, chunk_seconds: float | None) -> float:
    """Return the wanted length of a chunk."""
    if chunk_seconds:
        return chunk_seconds
    last_s = int(plan.output.times.durations[-1]) * float(plan.output.times.time_base)
    return default_chunk_seconds(float(_stamps(plan)[-1]) + last_s)


def _chunks(source: _Source, ranges: list[tuple[int, int]]) -> list[Chunk]:
    """Make the chunks of these ranges of output frames."""
    chunks: list[Chunk] = []
    for start, stop in ranges:
        chunk = _chunk(chunks, source, start, stop)
        if chunks and chunks[-1].lane == chunk.lane:
            held_from = min(chunk.decode_start, chunks[-1].decode_stop)
            chunks[-1] = replace(chunks[-1], held_from=held_from)
        chunks.append(chunk)
    return chunks


def _prepare(index: VideoIndex, plan: FramePlan, lead: Lead) -> _Source:
    """Look up once what every chunk needs."""
    shown_at = np.full(len(index), -1, dtype=np.int64)
    shown_at[plan.packets] = np.arange(len(plan.packets))
    return _Source(
        packets=len(index),
        plan=plan,
        lead=lead,
        shown_at=shown_at,
        shown=np.flatnonzero(shown_at >= 0),
        keys=np.flatnonzero(index.keyframes),
        is_key=index.keyframes,
    )


def _key_frames(source: _Source) -> NDArray[np.int64]:
    """Return the output frames that first show a keyframe, ascending."""
    first = source.plan.output.first
    keys = np.sort(source.shown_at[source.keys])
    places = np.searchsorted(first, keys[keys >= 0])
    found: NDArray[np.int64] = places[first[np.minimum(places, len(first) - 1)] == keys[keys >= 0]]
    return found


def _ranges(
    stamps: NDArray[np.float64], key_frames: NDArray[np.int64], wanted_s: float
) -> list[tuple[int, int]]:
    """Return half-open frame ranges of about `wanted_s`."""
    ranges = []
    start, count = 0, len(stamps)
    while start < count:
        stop = _next_cut(stamps, key_frames, start, wanted_s)
        ranges.append((start, stop))
        start = stop
    return ranges


def _at_keys(
    ranges: list[tuple[int, int]], leads: dict[int, int], stamps: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Cut ranges at keyframes too, but for such that follow close behind another cut.

    Args:
        ranges: Half-open.
        leads: Of each keyframe, where its leading pictures begin: the cut is on both sides of them.
        stamps: When each frame is shown.
    """
    starts = {start for start, _ in ranges}
    cuts, last = {0}, 0
    for place in sorted(starts | set(leads)):
        if place in starts or stamps[place] - stamps[last] >= _LEAST_GROUP_S:
            cuts |= {leads.get(place, place), place}
            last = place
    return list(pairwise([*sorted(cuts), ranges[-1][1]]))


def _next_cut(
    stamps: NDArray[np.float64], key_frames: NDArray[np.int64], start: int, wanted_s: float
) -> int:
    """Return the end of the chunk that starts at frame `start`.

    The keyframe nearest to the wanted length, within half of that; else the wanted length.
    """
    target_s = stamps[start] + wanted_s
    tolerance_s = wanted_s * _SLACK
    low = max(int(np.searchsorted(stamps, target_s - tolerance_s)), start + 1)
    high = int(np.searchsorted(stamps, target_s + tolerance_s, side="right"))
    near = key_frames[np.searchsorted(key_frames, low) : np.searchsorted(key_frames, high)]
    if len(near):
        return int(near[np.argmin(np.abs(stamps[near] - target_s))])
    return max(start + 1, int(np.searchsorted(stamps, target_s - _ROUNDING_S)))


def _chunk(before: list[Chunk], source: _Source, start: int, stop: int) -> Chunk:
    """Make the chunk of output frames `start` to `stop`, with the packets to carry and its lane."""
    output, lead = source.plan.output, source.lead
    low, high = output.places(start, stop)
    begin, end = max(0, low - lead.before), min(len(output.needed), high + lead.after)
    wanted = output.needed[begin:end]
    packets = source.plan.packets[wanted]
    first, last = int(packets.min()), int(packets.max())
    entry = _entry(source, first, int(wanted[0]))
    follows = bool(before) and _again(source, low, high) > _LEAD_SHARE * (high - low)
    return Chunk(
        chunk_index=len(before),
        frame_start=start,
        frame_stop=stop,
        decode_start=begin,
        decode_stop=end,
        owned_start=max(low, before[-1].owned_stop) if before else low,
        owned_stop=high,
        held_from=end,
        packet_start=entry,
        packet_stop=last + 1,
        packet_limit=_limit(source, last, int(wanted[-1]) + 1, inside=first > entry),
        lane=before[-1].lane if follows else len(before),
    )


def _again(source: _Source, low: int, high: int) -> int:
    """Return how many packets are decoded only to get at the source frames at these places."""
    frames = source.plan.output.needed[low:high]
    first = int(source.plan.packets[frames].min())
    return first - _entry(source, first, int(frames[0]))


def _entry(source: _Source, first: int, start: int) -> int:
    """Return the latest keyframe from which all source frames from `start` on decode.

    The leading pictures of a keyframe, shown before it, need the keyframe before that one.
    """
    place = int(np.searchsorted(source.keys, first, side="right")) - 1
    while place >= 0 and source.shown_at[source.keys[place]] > start:
        place -= 1
    return int(source.keys[place]) if place >= 0 else 0


def _limit(source: _Source, last: int, stop: int, *, inside: bool) -> int:
    """Return how far a decoder may be fed for a chunk whose last packet is `last`.

    At least up to the next packet that shows a frame: what lies between may be the second field of
    the last frame. Where the next chunk goes on within the group of pictures, some packets more, so
    that the last frame comes out without draining the decoder.
    """
    most = min(source.packets, last + 1 + _LANE_MARGIN_PACKETS)
    packets = source.plan.packets
    if inside or (stop < len(packets) and not source.is_key[packets[stop]]):
        return most
    place = int(np.searchsorted(source.shown, last, side="right"))
    return min(most, int(source.shown[place])) if place < len(source.shown) else most
