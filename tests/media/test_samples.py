from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.media.index import IndexClass, build_index
from farm.media.listing import list_frames
from farm.media.plan import plan_frames
from farm.media.retime import stretch
from farm.media.samples import places_to_look_at, spread

RATE = 10


def clip(path: Path, frames: int, keyframe_distance: int) -> Path:
    options = {"g": str(keyframe_distance), "keyint_min": "1", "bf": "2", "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            frame = VideoFrame(64, 48, "yuv420p")
            for plane, value in zip(frame.planes, (number + 30, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.h264"])
def test_places_are_near_enough_whatever_tells_the_frames(tmp_path: Path, name: str) -> None:
    index = build_index(clip(tmp_path / name, 95, 30))
    listing = None if index.index_class is IndexClass.TRUSTED else list_frames(index)
    plan = plan_frames(index, listing)
    places = places_to_look_at(plan, 2.0)
    pts = plan.times.pts * float(plan.times.time_base)
    assert np.diff([pts[0], *pts[places], pts[-1]]).max() <= 2.0
    assert len(places) <= 6


def test_only_the_stretch_of_a_preview_is_looked_at(tmp_path: Path) -> None:
    index = build_index(clip(tmp_path / "a.mp4", 95, 10))
    plan = stretch(plan_frames(index, None), 3.0, 25)
    numbers = plan.output.needed[places_to_look_at(plan, 2.0)]
    assert len(numbers)
    assert numbers.min() >= 30
    assert numbers.max() <= 54


@given(
    steps=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    every=st.integers(1, 5),
    ticks=st.integers(5, 40),
)
def test_no_gap_is_wider_than_asked_for(steps: list[int], every: int, ticks: int) -> None:
    pts = np.cumsum([0, *steps])
    candidates = np.arange(0, len(pts), every)
    chosen = spread(pts, candidates, ticks)
    if chosen is None:
        assert _widest(pts, candidates) > ticks
    else:
        assert set(chosen.tolist()) <= set(candidates.tolist())
        assert _widest(pts, chosen) <= ticks


def _widest(pts: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    """Widest gap in which there is a frame that was not chosen."""
    edges = [0, *chosen.tolist(), len(pts) - 1]
    gaps = [int(pts[b] - pts[a]) for a, b in pairwise(edges) if b - a > 1]
    return max(gaps, default=0)
