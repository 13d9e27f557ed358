"""The analysis of a clip before its render: what is looked at, and the face table it becomes.

Not for: running it (`cluster.job`) or looking itself (`farm.analyse`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from farm.environment import farm_version
from farm.face_settings import AnalysisSettings
from farm.faces.observe import Sight, segment_frames
from farm.faces.people import absences, name_people
from farm.faces.table import ClipFacts, FaceTable
from farm.faces.track import make_tracks
from farm.media.index import VideoIndex
from farm.media.output import every_frame
from farm.media.plan import FramePlan
from farm.media.timing import FrameTimes
from scheduler.chunks import Chunk, cut_at_anchors

_MARGIN_FRAMES = 12
"""Frames that are looked at around those that are rendered, beside gaps and smoothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPlan:
    """What is looked at."""

    frames: FramePlan
    """Each source frame is an output frame."""
    chunks: list[Chunk]
    settings: AnalysisSettings
    """What it does."""


def plan_analysis(
    index: VideoIndex, frames: FramePlan, settings: AnalysisSettings, chunk_seconds: float | None
) -> AnalysisPlan:
    """Plan to look at every source frame that the output needs, and at some around them.

    Args:
        index: The packets.
        frames: The plan of the render.
        settings: What the analysis does.
        chunk_seconds: Wanted length of a chunk, None for the usual one.
    """
    every = replace(frames, output=every_frame(frames.times), looks=np.empty(0, np.int64))
    margin = _MARGIN_FRAMES + (settings.fill_gaps or 0) + settings.smooth_landmarks
    needed = frames.output.needed
    wanted = (int(needed[0]) - margin, int(needed[-1]) + 1 + margin)
    distance = segment_frames(settings.detect_every)
    chunks = cut_at_anchors(index, every, chunk_seconds, distance, wanted)
    return AnalysisPlan(frames=every, chunks=chunks, settings=settings)


def make_table(
    clip: ClipFacts,
    chunks: Sequence[Chunk],
    seen: Mapping[int, Sequence[Sight]],
    settings: AnalysisSettings,
    *,
    detector: str,
    recognises: bool,
) -> FaceTable:
    """Resolve what the chunks showed: tracks, gaps, smooth landmarks, people.

    Args:
        clip: The facts of the clip.
        chunks: In order, without a gap between them.
        seen: By chunk.
        settings: What the analysis does.
        detector: Its name, to be said.
        recognises: Whether faces were recognised.
    """
    sights = [sight for chunk in chunks for sight in seen[chunk.chunk_index]]
    tracks, gaps = make_tracks(
        sights,
        chunks[0].frame_start if chunks else 0,
        fill_frames=settings.fill_gaps or 0,
        smooth_frames=settings.smooth_landmarks,
    )
    if recognises:
        tracks = name_people(tracks)
        gaps = (*gaps, *absences(tracks))
    return FaceTable(
        clip=clip,
        tracks=tracks,
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.frame_start, gap.track))),
        made_by={
            "facefarm": farm_version(),
            "detector": detector,
            "detect_every": str(settings.detect_every),
            "fill_gaps": str(settings.fill_gaps or 0),
            "smooth_landmarks": str(settings.smooth_landmarks),
        },
    )


def frame_finder(times: FrameTimes) -> Callable[[float], int]:
    """Return what tells the source frame that is on screen at a second from the first frame."""
    ticks = times.pts - times.pts[0]

    def frame_at(second: float) -> int:
        tick = int(Fraction(second).limit_denominator(1_000_000) / times.time_base)
        return max(0, int(np.searchsorted(ticks, tick, side="right")) - 1)

    return frame_at
