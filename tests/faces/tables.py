"""Face tables in small, for tests of what reads, writes and uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from farm.faces.table import ORIGINS, ClipFacts, FaceTable, Origin, Track, empty_arrays
from tests.model_maker import landmarks_in

Box = tuple[float, float, float, float]


def clip_facts(**changes: Any) -> ClipFacts:
    """The facts of a clip of 30 frames."""
    values: dict[str, Any] = {
        "name": "clip.mkv",
        "sha256": "ab" * 32,
        "width": 400,
        "height": 300,
        "frames": 30,
    }
    return ClipFacts(**(values | changes))


def track_of(
    number: int,
    frames: Sequence[int],
    boxes: Sequence[Box],
    *,
    origin: Origin = Origin.DETECTED,
    landmarks: bool = True,
    **changes: Any,
) -> Track:
    """A track of these boxes."""
    arrays: dict[str, Any] = empty_arrays(len(frames))
    arrays["frames"][:] = frames
    arrays["boxes_xyxy"][:] = boxes
    arrays["scores"][:] = 0.9
    arrays["origins"][:] = ORIGINS.index(origin)
    if landmarks:
        points = np.stack([landmarks_in(box) for box in boxes]).astype(np.float64)
        arrays["landmarks_xy"][:] = points.round(2)
    return Track(track=number, **(arrays | changes))


def table_of(*tracks: Track, **changes: Any) -> FaceTable:
    """A table of these tracks."""
    return FaceTable(clip=clip_facts(**changes), tracks=tracks)
