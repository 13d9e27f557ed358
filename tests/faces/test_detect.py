from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.faces.cascade import CascadeDetector, merge
from farm.faces.detect import FaceDetector, choose_detector, detect_faces
from farm.faces.scrfd import ScrfdDetector
from farm.faces.yunet import YunetDetector
from farm.models.session import SessionSettings, open_session
from farm.models.store import ModelStore
from tests.faces.pictures import frame_of, gray_picture, portrait
from tests.model_maker import draw_face, landmarks_in, make_arcface, make_scrfd, make_yunet

CPU = SessionSettings(provider="cpu", threads=1)
MAKERS: dict[str, Callable[[Path], FaceDetector]] = {
    "scrfd": lambda p: ScrfdDetector(open_session(make_scrfd(p / "s.onnx"), CPU)),
    "scrfd batch": lambda p: ScrfdDetector(
        open_session(make_scrfd(p / "sb.onnx", batch=True), CPU)
    ),
    "yunet": lambda p: YunetDetector(open_session(make_yunet(p / "y.onnx"), CPU)),
}


@pytest.fixture(params=list(MAKERS))
def detector(request: pytest.FixtureRequest, tmp_path: Path) -> FaceDetector:
    return MAKERS[request.param](tmp_path)


def _store(tmp_path: Path, detector: Path | None = None) -> ModelStore:
    overrides = (("detector", detector),) if detector else ()
    return ModelStore(
        models_dir=tmp_path / "models", overrides=overrides, allow_unverified=True, offline=True
    )


def test_faces_are_found_where_they_are_largest_first(detector: FaceDetector) -> None:
    picture = gray_picture()
    boxes = {
        "magenta": (40, 50, 120, 130),
        "cyan": (150, 40, 290, 180),
        "yellow": (310, 20, 350, 60),
    }
    for colour, box in boxes.items():
        draw_face(picture, box, colour)
    faces = detector.detect([picture])[0]
    expected = [boxes["cyan"], boxes["magenta"], boxes["yellow"]]
    assert np.allclose([f.box_xyxy for f in faces], expected, atol=0.1)
    for face, box in zip(faces, expected, strict=True):
        assert face.landmarks_xy is not None
        assert np.allclose(face.landmarks_xy, landmarks_in(box), atol=0.1)
        assert face.score == pytest.approx(0.9, abs=0.01)


def test_boxes_of_a_large_picture_are_in_its_own_pixels(detector: FaceDetector) -> None:
    picture = gray_picture(1920, 1080)
    draw_face(picture, (1000, 500, 1300, 800))
    (face,) = detector.detect([picture])[0]
    assert np.abs(face.box_xyxy - (1000, 500, 1300, 800)).max() <= 3


def test_a_frame_without_a_face_gives_none(detector: FaceDetector) -> None:
    assert detector.detect([gray_picture()]) == [[]]
    assert detector.detect([]) == []


def test_how_pictures_are_batched_changes_nothing(detector: FaceDetector) -> None:
    pictures = [gray_picture(), gray_picture(), gray_picture(320, 640), gray_picture()]
    for i, picture in enumerate(pictures):
        draw_face(picture, (10 + 30 * i, 20, 90 + 30 * i, 100))
    together = detector.detect(pictures)
    for picture, faces in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])[0]
        (face,) = faces
        assert np.array_equal(face.box_xyxy, alone.box_xyxy)


def test_a_face_at_the_border_is_found(detector: FaceDetector) -> None:
    picture = gray_picture()
    draw_face(picture, (-30, 200, 60, 300))
    (face,) = detector.detect([picture])[0]
    assert np.allclose(face.box_xyxy, (0, 200, 60, 300), atol=0.1)


def test_frames_are_looked_at_small_and_told_in_full_size(detector: FaceDetector) -> None:
    picture = gray_picture(1600, 1200)
    draw_face(picture, (400, 400, 800, 800))
    ((face,),) = detect_faces(detector, [frame_of(picture, "yuv420p")])
    assert np.abs(face.box_xyxy - (400, 400, 800, 800)).max() <= 4
    assert face.landmarks_xy is not None
    assert np.abs(face.landmarks_xy - landmarks_in((400, 400, 800, 800))).max() <= 4


def test_the_cascades_find_a_portrait_straight_and_mirrored_and_no_face_in_noise() -> None:
    picture = portrait()
    noise = np.random.default_rng(1).integers(0, 255, (200, 300), np.uint8)
    straight, mirrored, none = CascadeDetector().detect([picture, picture[:, ::-1], noise])
    assert none == []
    for faces, centre_x in ((straight, 226), (mirrored, 512 - 226)):
        left, top, right, bottom = faces[0].box_xyxy
        assert abs((left + right) / 2 - centre_x) < 15
        assert abs((top + bottom) / 2 - 117) < 20
        assert faces[0].landmarks_xy is None
        assert 0 < faces[0].score <= 1


def test_the_cascades_look_at_brightness_and_tell_full_size() -> None:
    picture = cv2.resize(portrait(), (1024, 1024))
    ((face, *_),) = detect_faces(CascadeDetector(), [frame_of(np.asarray(picture, np.uint8))])
    assert abs(float(face.box_xyxy[::2].mean()) - 452) < 30


def test_auto_takes_the_given_model_whatever_its_family(tmp_path: Path) -> None:
    for maker, name in ((make_scrfd, "scrfd"), (make_yunet, "yunet")):
        models = _store(tmp_path, maker(tmp_path / f"{name}.onnx"))
        assert choose_detector("auto", models, CPU, needs_landmarks=True).name == name


def test_auto_falls_back_to_the_cascades_only_without_landmarks(tmp_path: Path) -> None:
    assert choose_detector("auto", _store(tmp_path), CPU, needs_landmarks=False).name == "cascade"
    with pytest.raises(ModelError, match=r"det_10g\.onnx is missing"):
        choose_detector("auto", _store(tmp_path), CPU, needs_landmarks=True)


def test_the_cascades_are_refused_where_landmarks_are_needed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no landmarks"):
        choose_detector("cascade", _store(tmp_path), CPU, needs_landmarks=True)


def test_an_unknown_detector_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'yunet'"):
        choose_detector("yunett", _store(tmp_path), CPU, needs_landmarks=False)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    models = _store(tmp_path, make_arcface(tmp_path / "a.onnx"))
    for asked in ("auto", "scrfd", "yunet"):
        with pytest.raises(ModelError, match=r"a\.onnx.*the detector"):
            choose_detector(asked, models, CPU, needs_landmarks=False)


def _box(left: int, top: int, side: int) -> NDArray[np.float32]:
    return np.array([left, top, left + side, top + side], np.float32)


def test_a_giant_weak_box_around_a_well_supported_face_is_taken_for_a_mistake() -> None:
    face, giant, other = (_box(80, 60, 73), 25), (_box(20, 10, 232), 3), (_box(300, 20, 232), 3)
    (found,) = merge([face, giant], [])
    assert abs(float(found.box_xyxy[0]) - 80) < 1
    assert len(merge([face], [(giant[0], 6)])) == 1
    assert len(merge([face, other], [])) == 2
    assert len(merge([(face[0], 8), giant], [])) == 2


class _Nowhere:
    """A session whose network gives values that are no numbers, as half precision may."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *given: Any) -> list[NDArray[np.float32]]:
        return [np.full_like(out, np.nan) for out in self._session.run(*given)]


def test_values_that_are_no_numbers_are_an_error_and_never_no_face(tmp_path: Path) -> None:
    made = (
        (ScrfdDetector, make_scrfd(tmp_path / "s")),
        (YunetDetector, make_yunet(tmp_path / "y")),
    )
    for detector, path in made:
        with pytest.raises(ModelError, match="no numbers"):
            detector(_Nowhere(open_session(path, CPU))).detect([gray_picture()])
