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

from farm.media.index import build_index
from farm.media.listing import list_frames
from farm.media.plan import plan_frames
from farm.media.retime import stretch
from farm.media.samples import sample_frames, spread

RATE = 10


def clip(path: Path, frames: int, keyframe_distance: int) -> Path:
    """Frame n is a flat grey of brightness n."""
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


def brightness(frame: VideoFrame) -> int:
    return round(float(frame.to_ndarray(format="gray").mean()))


@pytest.mark.parametrize("keyframe_distance", [1, 7, 15, 10_000])
def test_samples_are_the_frames_that_they_are_said_to_be_and_near_enough(
    tmp_path: Path, keyframe_distance: int
) -> None:
    index = build_index(clip(tmp_path / "a.mp4", 95, keyframe_distance))
    plan = plan_frames(index, None)
    samples = [(n, brightness(frame)) for n, frame in sample_frames(index, plan, 2.0)]
    numbers = [number for number, _ in samples]
    greys = [brightness(frame) for frame in _all(index.path)]
    assert [grey for _, grey in samples] == [greys[number] for number in numbers]
    assert np.diff([0, *numbers, 94]).max() <= 2 * RATE
    assert len(numbers) <= 2 * 95 / (2 * RATE) + 2


def test_only_the_stretch_of_a_preview_is_sampled(tmp_path: Path) -> None:
    index = build_index(clip(tmp_path / "a.mp4", 95, 10))
    plan = stretch(plan_frames(index, None), 3.0, 25)
    numbers = [number for number, _ in sample_frames(index, plan, 2.0)]
    assert numbers
    assert min(numbers) >= 30
    assert max(numbers) <= 54


def test_a_video_without_timestamps_is_sampled_by_its_listing(tmp_path: Path) -> None:
    raw = clip(tmp_path / "a.h264", 60, 30)
    index = build_index(raw)
    plan = plan_frames(index, list_frames(index))
    numbers = [number for number, _ in sample_frames(index, plan, 1.0)]
    assert len(numbers) >= 2


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


def _all(path: Path) -> list[VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))
