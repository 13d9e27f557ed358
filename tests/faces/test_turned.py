from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.turned import TurnedDetector, open_detector
from farm.media.orientation import turn_upright
from farm.settings import ProcessorSettings
from tests.model_maker import make_scrfd
from tests.processors.contexts import context

SIZE = (60, 100)
"""Rows and columns of the pictures."""


class ByMarks:
    """Finds a face between a red pixel above and a green one below, and is unsure when it lies."""

    name, has_landmarks, wants_gray, max_side_px = "marks", True, False, 640

    def __init__(self, blind: bool = True) -> None:
        self.seen: list[tuple[int, ...]] = []
        self._blind = blind

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        return [self._one(frame) for frame in frames]

    def _one(self, frame: NDArray[np.uint8]) -> list[Face]:
        self.seen.append(frame.shape)
        eyes = np.argwhere(frame[..., 2] > 200)
        mouth = np.argwhere(frame[..., 1] > 200)
        if not len(eyes):
            return []
        (top, x), (bottom, other) = eyes[0], mouth[0]
        is_upright = bottom > top and abs(int(x) - int(other)) <= 1
        if not is_upright and self._blind:
            return []
        low = np.minimum((x, top), (other, bottom)) - 8.0
        high = np.maximum((x, top), (other, bottom)) + 9.0
        points = np.array([[x - 4, top], [x + 4, top], [x, top], [x, bottom], [x, bottom]])
        if not is_upright:  # as if it were
            points = np.array([[low[0], low[1]]] * 3 + [[low[0], high[1]]] * 2)
        return [
            Face(
                box_xyxy=np.array([*low, *high], np.float32),
                score=0.9 if is_upright else 0.8,
                landmarks_xy=points.astype(np.float32),
            )
        ]


def picture(turn: int) -> NDArray[np.uint8]:
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[20, 40] = (0, 0, 255)
    frame[36, 40] = (0, 255, 0)
    return np.ascontiguousarray(turn_upright(frame, turn, False))


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_face_is_found_as_it_lies(turn: int, blind: bool) -> None:
    frame = picture(turn)
    (face,) = TurnedDetector(ByMarks(blind)).detect([frame])[0]
    eyes, mouth = (np.argwhere(frame[..., c] > 200)[0][::-1] for c in (2, 1))
    assert face.landmarks_xy is not None
    assert np.allclose(face.landmarks_xy[2], eyes)
    assert np.allclose(face.landmarks_xy[3], mouth)
    low, high = np.minimum(eyes, mouth) - 8, np.maximum(eyes, mouth) + 9
    assert np.allclose(face.box_xyxy, [*low, *high])


def test_upright_faces_stay_what_the_detector_says() -> None:
    plain = ByMarks().detect([picture(0)])[0][0]
    (face,) = TurnedDetector(ByMarks(blind=False)).detect([picture(0)])[0]
    assert np.array_equal(face.box_xyxy, plain.box_xyxy)


def test_a_job_looks_in_every_turn_where_that_was_asked_for(tmp_path: Path) -> None:
    given = context(tmp_path, models=(("detector", make_scrfd(tmp_path / "s.onnx")),))
    for turned in (False, True):
        settings = ProcessorSettings(detector="scrfd", turned_faces=turned)
        found = open_detector(settings, given.models, given.sessions, landmarks=True)
        assert isinstance(found, TurnedDetector) == turned
        assert found.name == "scrfd"


def test_each_picture_is_looked_at_in_every_turn_and_empty_ones_have_no_face() -> None:
    detector = ByMarks()
    empty = np.zeros((*SIZE, 3), np.uint8)
    found = TurnedDetector(detector).detect([empty, picture(90)])
    assert [len(faces) for faces in found] == [0, 1]
    assert len(detector.seen) == 8
