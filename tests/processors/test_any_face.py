"""Faces of any size, turn and place: each processor gives a picture and never an exception."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.paste_settings import PasteSettings, SwapSize
from farm.processors.base import FaceFrame, FrameProcessor
from farm.processors.debug_overlay import DebugOverlay
from farm.processors.face_anonymizer import FaceAnonymizer
from farm.processors.face_enhancer import FaceEnhancer
from farm.processors.face_swapper import FaceSwapper
from farm.settings import ProcessorSettings
from tests.faces.pictures import frame_of, gray_picture
from tests.model_maker import (
    COLOURS_BGR,
    LANDMARK_SHARES,
    embedding_of,
    make_enhancer,
    make_inswapper,
)
from tests.processors.contexts import context

ALL = PasteSettings(mouth_mask=True, color_transfer=True, sharpness=1.0, swap_size=SwapSize.AUTO)


@pytest.fixture(scope="module")
def processors(tmp_path_factory: pytest.TempPathFactory) -> list[FrameProcessor]:
    folder = tmp_path_factory.mktemp("any")
    models: tuple[tuple[str, Path], ...] = (
        ("swapper", make_inswapper(folder / "s.onnx", batch=True)),
        ("enhancer", make_enhancer(folder / "e.onnx", 64)),
    )
    source = embedding_of(COLOURS_BGR["cyan"])
    started: list[FrameProcessor] = [
        FaceSwapper(),
        FaceEnhancer(),
        FaceAnonymizer(),
        DebugOverlay(),
    ]
    for each in started:
        each.start(context(folder, ProcessorSettings(paste=ALL), models=models, source=source))
    return started


@st.composite
def faces(draw: st.DrawFn) -> Face:
    """A face somewhere in or around the picture, turned, perhaps seen from the side."""
    middle = np.array([draw(st.floats(-200, 300)), draw(st.floats(-200, 300))])
    side = draw(st.floats(0.01, 400))
    angle, narrow = draw(st.floats(-np.pi, np.pi)), draw(st.floats(0, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (LANDMARK_SHARES - 0.5) * (narrow, 1) * side @ turn.T + middle
    box = np.concatenate([middle - side / 2, middle + side / 2])
    return Face(
        box_xyxy=box.astype(np.float32),
        score=draw(st.floats(0, 1)),
        landmarks_xy=points.astype(np.float32) if draw(st.booleans()) else None,
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    found=st.lists(faces(), max_size=4),
    size=st.tuples(st.integers(2, 97), st.integers(2, 73)),
    pix_fmt=st.sampled_from(["yuv420p", "yuv420p10le", "yuv410p", "nv12", "bgr24"]),
)
def test_any_face_gives_a_picture(
    processors: list[FrameProcessor], found: list[Face], size: tuple[int, int], pix_fmt: str
) -> None:
    for processor in processors:
        frame = frame_of(gray_picture(*size), pix_fmt)
        some = tuple(found)
        processor.process([FaceFrame(frame=frame, faces=some, selected=some)])
        after: NDArray[np.uint8] = frame.to_bgr()
        assert after.shape == (size[1], size[0], 3)
        assert frame.touched or (np.abs(after.astype(int) - 90) <= 4).all()
