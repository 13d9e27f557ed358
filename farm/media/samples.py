"""Frames of a plan at most a few seconds apart, for a look at a video before it is rendered.

Where keyframes lie near enough to each other, nothing else is decoded. Not for: rendering, or
anything that must not miss a frame (`farm.media.decode`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.media.index import VideoIndex, video_packets
from farm.media.plan import FramePlan
from farm.media.probe import open_container


def sample_frames(
    index: VideoIndex, plan: FramePlan, every_s: float
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield source frames that the plan needs, no two neighbours further apart than `every_s`.

    A frame that does not decode is passed over. Where keyframes were no true ones, frames may come
    twice.

    Yields:
        The number of the source frame, and the picture as it is stored, its pts of no meaning.
    """
    ticks = every_s / plan.times.time_base
    needed = plan.output.needed
    pts = plan.times.pts[needed]
    keys = np.flatnonzero(index.keyframes[plan.packets[needed]])
    by_keys = spread(pts, keys, float(ticks))
    if by_keys is not None:
        came = 0
        for number, frame in _decoded(index, plan, needed[by_keys], keys_only=True):
            came += 1
            yield number, frame
        if came == len(by_keys):
            return
    wanted = spread(pts, np.arange(len(needed), dtype=np.int64), float(ticks))
    yield from _decoded(index, plan, needed if wanted is None else needed[wanted], keys_only=False)


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


def _decoded(
    index: VideoIndex, plan: FramePlan, wanted: NDArray[np.int64], *, keys_only: bool
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode serially from the keyframe before the first wanted frame to the last one."""
    due = {int(plan.packets[number]): int(number) for number in wanted}
    before = np.flatnonzero(index.keyframes[: min(due) + 1])
    start = int(before[-1]) if len(before) and not index.reasons else 0
    with open_container(index.path) as container:
        stream: Any = container.streams[index.stream_index]
        stream.thread_type = "AUTO"
        if keys_only:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in _frames(container, stream, start):
            number = due.pop(-1 if frame.pts is None else frame.pts, None)
            if number is not None:
                yield number, frame
            if not due:
                return


def _frames(container: Any, stream: Any, start: int) -> Iterator[VideoFrame]:
    """Yield frames from packet `start` on, the number of their packet as pts."""
    with suppress(av.FFmpegError):  # a file that breaks off ends here; the render says so
        for number, packet in enumerate(video_packets(container, stream.index)):
            if number >= start:
                packet.pts, packet.dts = number, None
                yield from _tried(packet.decode)
    yield from _tried(partial(stream.codec_context.decode, None))


def _tried(decode: Callable[[], Iterable[VideoFrame]]) -> list[VideoFrame]:
    """Decode a packet; a damaged one gives nothing."""
    try:
        return list(decode())
    except av.FFmpegError:
        return []
