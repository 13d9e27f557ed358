from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import InputError
from farm.faces.detect import FaceDetector
from farm.faces.face import Face
from farm.faces.recognise import Recogniser
from farm.faces.scrfd import ScrfdDetector
from farm.faces.source import (
    TURNED_AWAY_NOTE,
    is_turned_away,
    read_picture,
    source_embedding,
)
from farm.models.session import SessionSettings, open_session
from tests.faces.pictures import face_at, gray_picture
from tests.faces.test_turned import ByMarks
from tests.faces.test_turned import picture as marked_picture
from tests.model_maker import COLOURS_BGR, draw_face, embedding_of, make_arcface, make_scrfd

CPU = SessionSettings(provider="cpu", threads=1)


@pytest.fixture
def networks(tmp_path: Path) -> tuple[FaceDetector, Recogniser]:
    detector = ScrfdDetector(open_session(make_scrfd(tmp_path / "s.onnx"), CPU))
    return detector, Recogniser(open_session(make_arcface(tmp_path / "a.onnx"), CPU))


def _image(path: Path, *faces: tuple[str, tuple[int, int, int, int]]) -> Path:
    picture = gray_picture()
    for colour, box in faces:
        draw_face(picture, box, colour)
    cv2.imwrite(str(path), picture)
    return path


def _with_orientation(path: Path, picture_bgr: NDArray[np.uint8], orientation: int) -> Path:
    """A JPEG whose EXIF data say how it is turned."""
    done, data = cv2.imencode(".jpg", picture_bgr)
    assert done
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    jpeg = data.tobytes()
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    return path


def test_the_embedding_is_that_of_the_only_face(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    path = _image(tmp_path / "me.png", ("magenta", (100, 50, 260, 210)))
    found = source_embedding([path], *networks)
    assert found.shape == (512,)
    assert float(found @ embedding_of(COLOURS_BGR["magenta"])) > 0.9


def test_several_images_give_their_mean(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    paths = [
        _image(tmp_path / f"{colour}.png", (colour, (100, 50, 260, 210)))
        for colour in ("magenta", "cyan")
    ]
    one, two = (source_embedding([path], *networks) for path in paths)
    both = source_embedding(paths, *networks)
    assert np.allclose(both, (one + two) / np.linalg.norm(one + two), atol=1e-5)


def test_an_image_without_a_face_is_refused(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    with pytest.raises(InputError, match=r"empty\.png shows no face"):
        source_embedding([_image(tmp_path / "empty.png")], *networks)


def test_an_image_with_several_faces_is_refused_with_their_number(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    path = _image(
        tmp_path / "us.png", ("magenta", (20, 50, 120, 150)), ("cyan", (200, 50, 280, 130))
    )
    with pytest.raises(
        InputError,
        match=r"us\.png shows 2 faces, from left to right 1 at \(70, 100\), 2 at \(240, 90\): "
        "say which with --source-face",
    ):
        source_embedding([path], *networks)
    with pytest.raises(InputError, match="there is no --source-face 3"):
        source_embedding([path], *networks, number=3)
    right = source_embedding([path], *networks, number=2)
    assert float(right @ embedding_of(COLOURS_BGR["cyan"])) > 0.9


@pytest.mark.parametrize(
    ("points", "odd"),
    [
        ([(0, 0), (40, 0), (20, 22), (4, 40), (36, 40)], False),
        ([(0, 0), (40, 0), (9, 22), (4, 40), (36, 40)], False),  # a quarter turn's half
        ([(0, 0), (36, 0), (-4, 22), (0, 40), (20, 40)], True),  # the nose before the left eye
        ([(0, 0), (36, 0), (40, 22), (12, 40), (34, 40)], True),
        ([(0, 0), (20, 0), (10, 22), (2, 40), (18, 40)], True),  # narrow
        ([(0, 0), (0, 0), (0, 22), (0, 40), (0, 40)], True),
    ],
)
def test_a_face_that_is_turned_away_is_told_from_one_seen_from_the_front(
    points: list[tuple[float, float]], odd: bool
) -> None:
    upright = np.array(points, np.float32)
    for turned in (upright, upright[:, ::-1] * np.array([-1, 1], np.float32), -upright):
        assert is_turned_away(replace(face_at((0, 0, 40, 60)), landmarks_xy=turned)) is odd
    assert not is_turned_away(replace(face_at((0, 0, 40, 60)), landmarks_xy=None))


class Sideways:
    """Finds one face, whose nose is beside its eyes, in the first picture that it sees."""

    name, has_landmarks, wants_gray, max_side_px = "sideways", True, False, 640
    seen = 0

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        places = [(130, 100), (180, 100), (120, 130), (135, 160), (165, 160)]
        face = replace(face_at((100, 60, 220, 200)), landmarks_xy=np.array(places, np.float32))
        self.seen += len(frames)
        return [[face] if self.seen == 1 else []]


def test_a_source_seen_from_the_side_is_taken_and_said(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    path, notes = _image(tmp_path / "me.png", ("magenta", (100, 50, 260, 210))), list[str]()
    source_embedding([path], *networks, note=notes.append)
    assert notes == []
    found = source_embedding([path], Sideways(), networks[1], note=notes.append)
    assert found.shape == (512,)
    assert notes == [f"--source {path}: {TURNED_AWAY_NOTE}"]


def test_a_tiny_face_in_the_background_does_not_matter(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    path = _image(
        tmp_path / "me.png", ("magenta", (20, 50, 180, 210)), ("cyan", (300, 50, 330, 80))
    )
    found = source_embedding([path], *networks)
    assert float(found @ embedding_of(COLOURS_BGR["magenta"])) > 0.9


def test_a_face_of_a_few_pixels_is_refused(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    path = _image(tmp_path / "me.png", ("magenta", (100, 50, 116, 66)))
    with pytest.raises(InputError, match=r"me\.png: its face has only 16 pixels"):
        source_embedding([path], *networks)
    enough = _image(tmp_path / "me.png", ("magenta", (100, 50, 132, 82)))
    assert source_embedding([enough], *networks).shape == (512,)


def test_images_that_cannot_be_read_are_refused_by_name(
    tmp_path: Path, networks: tuple[FaceDetector, Recogniser]
) -> None:
    bad = tmp_path / "bad.jpg"
    for data in (b"", b"no image"):
        bad.write_bytes(data)
        with pytest.raises(InputError, match=r"bad\.jpg is not an image"):
            source_embedding([bad], *networks)
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read"):
        source_embedding([tmp_path / "gone.jpg"], *networks)
    with pytest.raises(InputError, match="--source"):
        source_embedding([], *networks)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_photo_that_lies_on_its_side_gives_its_person(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "me.png"
    cv2.imwrite(str(path), marked_picture(turn))
    recogniser = Recogniser(open_session(make_arcface(tmp_path / "a.onnx"), CPU))
    assert source_embedding([path], ByMarks(), recogniser).shape == (512,)


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    picture = gray_picture(60, 40)
    picture[:10, :10] = 255
    turned = read_picture(_with_orientation(tmp_path / "o.jpg", picture, 6))
    assert (turned.width, turned.height) == (40, 60)
    assert turned.pixels_bgr[:8, -8:].min() > 200
