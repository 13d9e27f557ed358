"""Three hundred faces in one frame: each is worked on, in parts that a network's batch holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.faces.detect import choose_detector, detect_faces
from farm.models.session import MAX_BATCH, SessionSettings
from farm.processors.base import FaceFrame
from farm.processors.debug_overlay import DebugOverlay
from farm.processors.face_anonymizer import FaceAnonymizer
from farm.processors.face_enhancer import FaceEnhancer
from farm.processors.face_swapper import FaceSwapper
from farm.settings import AnonymizeMethod, ProcessorSettings
from tests.faces.pictures import GRAY, frame_of, gray_picture
from tests.model_maker import (
    COLOURS_BGR,
    embedding_of,
    make_crowd,
    make_enhancer,
    make_inswapper,
)
from tests.processors.contexts import context

SIDE = 640
CROWD = 300


def boxes() -> NDArray[np.float32]:
    """[300, 4]: 20 rows of 15 faces of 24 by 20 pixels."""
    rows, columns = np.divmod(np.arange(CROWD), 15)
    corners = np.stack([columns * 42 + 12, rows * 31 + 10], 1)
    return np.hstack([corners, corners + np.array([24, 20])]).astype(np.float32)


@pytest.fixture
def crowd(tmp_path: Path) -> FaceFrame:
    given = context(tmp_path, models=(("detector", make_crowd(tmp_path / "c.onnx", boxes())),))
    sessions = SessionSettings(provider="cpu", threads=1)
    detector = choose_detector("scrfd", given.models, sessions, needs_landmarks=True)
    frame = frame_of(gray_picture(SIDE, SIDE), "yuv420p")
    faces = detect_faces(detector, [frame])[0]
    return FaceFrame(frame=frame, faces=faces, selected=faces)


@pytest.mark.parametrize("processor", [FaceSwapper, FaceEnhancer, FaceAnonymizer, DebugOverlay])
def test_every_face_of_a_crowd_is_worked_on(
    tmp_path: Path, crowd: FaceFrame, processor: Any
) -> None:
    assert len(crowd.faces) == CROWD
    settings = ProcessorSettings(anonymize_method=AnonymizeMethod.SOLID)
    models = (
        ("swapper", make_inswapper(tmp_path / "s.onnx", batch=True)),
        ("enhancer", make_enhancer(tmp_path / "e.onnx", 64)),
    )
    given = context(tmp_path, settings, models=models, source=embedding_of(COLOURS_BGR["cyan"]))
    worker = processor()
    worker.check(given)
    worker.start(given)
    worker.process([crowd])
    after = crowd.frame.to_bgr().astype(int)
    for left, top, right, bottom in boxes().astype(int):
        assert np.abs(after[top:bottom, left:right] - GRAY).max() > 20
    assert np.abs(after[638:] - GRAY).max() <= 3


def test_a_network_never_sees_more_than_its_batch(tmp_path: Path, crowd: FaceFrame) -> None:
    sizes = []
    models = (("enhancer", make_enhancer(tmp_path / "e.onnx", 64)),)
    enhancer = FaceEnhancer()
    enhancer.start(context(tmp_path, models=models))
    assert enhancer._network is not None
    replace = enhancer._network.replace

    def counted(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(crops))
        return replace(crops)

    enhancer._network.replace = counted  # type: ignore[method-assign,assignment]
    enhancer.process([crowd, crowd])
    assert sum(sizes) == 2 * CROWD
    assert max(sizes) == MAX_BATCH
