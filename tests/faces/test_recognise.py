from pathlib import Path

import numpy as np
import pytest

from farm.errors import ModelError
from farm.faces.recognise import Recogniser, unit
from farm.models.session import SessionSettings, open_session
from tests.faces.pictures import face_at, frame_of, gray_picture
from tests.model_maker import (
    COLOURS_BGR,
    draw_face,
    embedding_of,
    make_arcface,
    make_enhancer,
)

CPU = SessionSettings(provider="cpu", threads=1)


def test_faces_of_one_colour_have_one_embedding(tmp_path: Path) -> None:
    recogniser = Recogniser(open_session(make_arcface(tmp_path / "a.onnx"), CPU))
    picture = gray_picture()
    faces = []
    for left, colour in ((10, "magenta"), (150, "cyan")):
        draw_face(picture, (left - 10, 40, left + 130, 180), colour)
        faces.append(face_at((left + 20, 60, left + 100, 140)))
    first, second = recogniser.embed(frame_of(picture), faces)
    assert first is not None
    assert second is not None
    assert float(first @ embedding_of(COLOURS_BGR["magenta"])) > 0.95
    assert float(second @ embedding_of(COLOURS_BGR["cyan"])) > 0.95
    assert float(first @ second) < 0
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-6)


def test_a_face_outside_the_picture_has_no_embedding(tmp_path: Path) -> None:
    recogniser = Recogniser(open_session(make_arcface(tmp_path / "a.onnx"), CPU))
    frame = frame_of(gray_picture())
    there, gone = recogniser.embed(frame, [face_at((50, 50, 90, 90)), face_at((900, 0, 950, 50))])
    assert there is not None
    assert gone is None
    assert recogniser.embed(frame, []) == []


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the recognizer takes"):
        Recogniser(open_session(make_enhancer(tmp_path / "e.onnx", 64), CPU))


def test_vectors_without_a_direction_have_no_unit() -> None:
    assert unit(np.zeros(4, np.float32)) is None
    assert unit(np.array([np.nan, 1], np.float32)) is None
    assert unit(np.array([3, 4], np.float32)).tolist() == pytest.approx([0.6, 0.8])  # type: ignore[union-attr]
