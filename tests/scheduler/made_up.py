"""Indexes and plans made of numbers alone, for tests that need no media.

Not for: tests that decode; those use `tests.media_maker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from farm.media.index import IndexClass, VideoIndex
from farm.media.output import every_frame
from farm.media.plan import FramePlan
from farm.media.stream import StreamParameters
from farm.media.timing import FrameTimes
from scheduler.chunks import Chunk

TICK_S = Fraction(1, 1000)
STREAM = StreamParameters(
    codec="h264",
    codec_tag="avc1",
    profile=None,
    width=64,
    height=48,
    pix_fmt="yuv420p",
    time_base=TICK_S,
    frame_rate=Fraction(25),
)


def made_up_index(
    pts: Sequence[int],
    keyframes: Sequence[int],
    *,
    dts: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    durations: Sequence[int] | None = None,
    container: str = "matroska,webm",
    damage: tuple[str, ...] = (),
) -> VideoIndex:
    """Index with these `pts` in packet order and keyframes at these packet numbers."""
    count = len(pts)
    flags = np.zeros(count, dtype=np.bool_)
    flags[list(keyframes)] = True
    return VideoIndex(
        path=Path("made_up.mkv"),
        container=container,
        stream_index=0,
        stream=STREAM,
        pts=np.array(pts, dtype=np.int64),
        dts=np.array(range(count) if dts is None else dts, dtype=np.int64),
        durations=np.array([40] * count if durations is None else durations, dtype=np.int64),
        sizes=np.array([100] * count if sizes is None else sizes, dtype=np.int64),
        keyframes=flags,
        discarded=np.zeros(count, dtype=np.bool_),
        index_class=IndexClass.TRUSTED,
        reasons=(),
        damage=damage,
        duration_s=None,
    )


def made_up_plan(packets: Sequence[int], pts: Sequence[int]) -> FramePlan:
    """Plan that shows these packets at these times, in ticks of a millisecond."""
    ticks = np.array(pts, dtype=np.int64)
    times = FrameTimes(
        time_base=TICK_S, pts=ticks, durations=np.append(np.diff(ticks), 40).astype(np.int64)
    )
    return FramePlan(
        packets=np.array(packets, dtype=np.int64), times=times, output=every_frame(times)
    )


def made_up_chunks(lanes: Sequence[int], *, gop: int = 30) -> list[Chunk]:
    """One chunk of ten frames for each number, which says its lane."""
    return [
        Chunk(
            chunk_index=i,
            frame_start=10 * i,
            frame_stop=10 * i + 10,
            decode_start=10 * i,
            decode_stop=10 * i + 10,
            owned_start=10 * i,
            owned_stop=10 * i + 10,
            held_from=10 * i + 10,
            packet_start=10 * i // gop * gop,
            packet_stop=10 * i + 10,
            packet_limit=10 * i + 10,
            lane=lane,
        )
        for i, lane in enumerate(lanes)
    ]
