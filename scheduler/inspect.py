"""What the farm sees in a file, without rendering it: the result of `facefarm probe`.

Not for: rendering, or checking models and options (`farm.preflight`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from farm.limit_settings import LimitSettings
from farm.media.index import IndexClass, VideoIndex
from farm.media.plan import FramePlan, plan_frames
from farm.media.reading import IndexReader, read_listing
from farm.media.streams import StreamFacts, read_streams
from scheduler.chunks import Chunk, cut_chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFacts:
    """One chunk that the farm would cut."""

    chunk_index: int
    frame_start: int
    frame_stop: int
    """Half-open."""
    packet_start: int
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """All that a render would go by."""

    path: Path
    container: str
    duration_s: Fraction
    """From the first frame to the end of the last one."""
    main_stream: int
    """Index of the video stream to be rendered."""
    codec: str
    width: int
    height: int
    pix_fmt: str
    frames: int
    packets: int
    keyframes: int
    frame_rate: Fraction | None
    variable_frame_rate: bool
    time_base: Fraction
    rotation: int
    """Degrees counter-clockwise that a player turns the picture."""
    flipped: bool
    sample_aspect_ratio: Fraction | None
    color_range: int
    color_space: int
    color_primaries: int
    color_transfer: int
    """The four colour tags are integers of ITU-T H.273."""
    index_class: IndexClass
    reasons: tuple[str, ...]
    """Why the index is not trusted."""
    damage: tuple[str, ...]
    notes: tuple[str, ...]
    streams: tuple[StreamFacts, ...]
    chunks: tuple[ChunkFacts, ...]


def inspect_file(
    path: Path,
    video_stream: int | None = None,
    chunk_seconds: float | None = None,
    limits: LimitSettings | None = None,
) -> ProbeReport:
    """Index, plan and cut a file as a render would.

    Decodes the video once where its index is not trusted.

    Args:
        path: The video.
        video_stream: Index of the stream to look at, None for the main one.
        chunk_seconds: Wanted length of chunks, None for the default.
        limits: What is refused, None for the usual.

    Raises:
        MediaError: The file cannot be rendered.
    """
    limits = limits or LimitSettings()
    index = IndexReader(path, video_stream, limits).index()
    listing = None
    if index.index_class is IndexClass.UNTRUSTED:
        listing = read_listing(index, stall_s=limits.read_stall_s)
    plan = plan_frames(index, listing)
    chunks = cut_chunks(index, plan, chunk_seconds)
    return _report(index, plan, read_streams(path), chunks)


def _report(
    index: VideoIndex, plan: FramePlan, streams: tuple[StreamFacts, ...], chunks: list[Chunk]
) -> ProbeReport:
    """Put the facts together."""
    stream, times = index.stream, plan.times
    end_s = int(times.durations[-1]) * times.time_base
    return ProbeReport(
        path=index.path,
        container=index.container,
        duration_s=times.seconds(len(plan) - 1) + end_s,
        main_stream=index.stream_index,
        codec=stream.codec,
        width=stream.width,
        height=stream.height,
        pix_fmt=stream.pix_fmt,
        frames=len(plan),
        packets=len(index),
        keyframes=int(np.count_nonzero(index.keyframes)),
        frame_rate=stream.frame_rate,
        variable_frame_rate=_varies(plan),
        time_base=stream.time_base,
        rotation=stream.rotation,
        flipped=stream.flipped,
        sample_aspect_ratio=stream.sample_aspect_ratio,
        color_range=stream.color.range,
        color_space=stream.color.space,
        color_primaries=stream.color.primaries,
        color_transfer=stream.color.trc,
        index_class=index.index_class,
        reasons=index.reasons,
        damage=_damage(plan),
        notes=plan.notes,
        streams=streams,
        chunks=tuple(_facts(chunk) for chunk in chunks),
    )


def _varies(plan: FramePlan) -> bool:
    """Tell whether frames stay for different times, by more than the rounding to ticks."""
    steps = np.diff(plan.times.pts)
    return bool(len(steps)) and int(steps.max() - steps.min()) > 1


def _damage(plan: FramePlan) -> tuple[str, ...]:
    """Say each place of damage in a line."""
    return tuple(f"at {float(d.time_s):.3f} s: {d.reason}" for d in plan.damage)


def _facts(chunk: Chunk) -> ChunkFacts:
    return ChunkFacts(
        chunk_index=chunk.chunk_index,
        frame_start=chunk.frame_start,
        frame_stop=chunk.frame_stop,
        packet_start=chunk.packet_start,
        lane=chunk.lane,
    )
