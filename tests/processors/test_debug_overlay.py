from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from farm.faces.face import Face
from farm.processors.base import FaceFrame
from farm.processors.debug_overlay import DebugOverlay, label_of
from tests.faces.pictures import GRAY, face_at, frame_of, gray_picture
from tests.processors.contexts import Box, context

FACE: Box = (120, 90, 220, 210)
OTHER: Box = (260, 40, 330, 120)


def drawn(
    tmp_path: Path, *faces: Face, selected: int = 0, pix_fmt: str = "bgr24"
) -> tuple[FaceFrame, np.ndarray]:
    frame = frame_of(gray_picture(), pix_fmt)
    item = FaceFrame(frame=frame, faces=faces, selected=faces[:selected])
    processor = DebugOverlay()
    processor.check(context(tmp_path))
    processor.start(context(tmp_path))
    processor.process([item])
    return item, np.abs(frame.to_bgr().astype(int) - GRAY).max(-1) > 10


@pytest.mark.parametrize("pix_fmt", ["bgr24", "yuv420p", "yuv420p10le"])
def test_box_and_landmarks_are_drawn_and_the_rest_of_the_face_is_not(
    tmp_path: Path, pix_fmt: str
) -> None:
    face = face_at(FACE)
    _item, changed = drawn(tmp_path, face, pix_fmt=pix_fmt)
    assert changed[90, 120:220].all()
    assert changed[209, 120:220].all()
    assert changed[90:210, 120].all()
    assert changed[90:210, 219].all()
    assert face.landmarks_xy is not None
    for x, y in face.landmarks_xy.round().astype(int):
        assert changed[y, x]
    inside = changed[95:205, 125:215]
    assert inside.mean() < 0.1


def test_faces_without_landmarks_get_box_and_score(tmp_path: Path) -> None:
    _item, changed = drawn(tmp_path, face_at(FACE, landmarks=False))
    assert changed[90, 120:220].all()
    assert not changed[95:205, 125:215].any()
    assert changed[70:90, 120:160].any()


def test_nothing_but_the_strokes_changes(tmp_path: Path) -> None:
    _item, changed = drawn(tmp_path, face_at(FACE))
    around = changed.copy()
    around[60:210, 120:220] = False
    assert not around.any()


def test_selected_faces_stand_out(tmp_path: Path) -> None:
    _item, changed = drawn(tmp_path, face_at(FACE), face_at(OTHER), selected=1)
    assert changed[91, 130:180].all()
    assert not changed[41, 270:320].any()


def test_tracks_are_named_and_keep_their_colour(tmp_path: Path) -> None:
    face = face_at(FACE)
    assert label_of(face) == "0.90"
    assert label_of(replace(face, track=7)) == "#7 0.90"
    colours = []
    for track in (1, 2, 1):
        item, _changed = drawn(tmp_path, replace(face, track=track))
        colours.append(item.frame.to_bgr()[209, 150].tolist())
    assert colours[0] == colours[2] != colours[1]


@pytest.mark.parametrize(
    "box",
    [(-60, -50, 40, 60), (380, 280, 480, 380), (-900, -900, 900, 900), (10, 10, 10, 10)],
)
def test_faces_at_the_border_and_without_size_are_drawn_as_far_as_they_are_there(
    tmp_path: Path, box: Box
) -> None:
    item, changed = drawn(tmp_path, face_at(box))
    assert item.frame.touched
    assert changed.any()


@pytest.mark.parametrize("value", [1e30, float("nan")])
def test_a_face_that_is_nowhere_is_not_drawn(tmp_path: Path, value: float) -> None:
    item, _changed = drawn(tmp_path, face_at((value, 10, value, 50)))
    assert not item.frame.touched
