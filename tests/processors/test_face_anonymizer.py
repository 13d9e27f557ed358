from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from farm.processors.base import FaceFrame
from farm.processors.face_anonymizer import FaceAnonymizer
from farm.settings import AnonymizeMethod, MaskShape, ProcessorSettings
from tests.faces.pictures import face_at, frame_of, gray_picture
from tests.processors.contexts import Box, context, face_frame

FACE: Box = (120, 90, 220, 210)


def _noise(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8)


def _run(
    tmp_path: Path,
    picture: NDArray[np.uint8],
    *boxes: Box,
    method: AnonymizeMethod = AnonymizeMethod.BLUR,
    shape: MaskShape = MaskShape.ELLIPSE,
    padding: float = 0.3,
    pix_fmt: str = "bgr24",
) -> NDArray[np.uint8]:
    settings = ProcessorSettings(
        anonymize_method=method, anonymize_shape=shape, anonymize_padding=padding
    )
    processor = FaceAnonymizer()
    given = context(tmp_path, settings)
    processor.check(given)
    processor.start(given)
    item = face_frame(picture, *boxes, selected=0, pix_fmt=pix_fmt)
    processor.process([item])
    return item.frame.to_bgr()


@pytest.mark.parametrize("method", list(AnonymizeMethod))
@pytest.mark.parametrize("shape", list(MaskShape))
def test_nothing_outside_the_padded_face_changes(
    tmp_path: Path, method: AnonymizeMethod, shape: MaskShape
) -> None:
    picture = _noise()
    after = _run(tmp_path, picture, FACE, method=method, shape=shape)
    outside = np.ones(picture.shape[:2], bool)
    outside[54:246, 90:250] = False
    assert np.array_equal(after[outside], picture[outside])
    assert not np.array_equal(after, picture)


@pytest.mark.parametrize("method", list(AnonymizeMethod))
@pytest.mark.parametrize("shape", list(MaskShape))
def test_what_is_under_the_cover_is_gone_in_full(
    tmp_path: Path, method: AnonymizeMethod, shape: MaskShape
) -> None:
    """Two pictures that differ only in detail become the same: it cannot be brought back."""
    flat = gray_picture()
    checked = flat.copy()
    checked[90:210, 120:220] += ((np.indices((120, 100)).sum(0) % 2) * 2)[..., None].astype(
        np.uint8
    )
    checked[90:210, 120:220] -= 1
    one, other = (_run(tmp_path, p, FACE, method=method, shape=shape) for p in (flat, checked))
    assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("method", [AnonymizeMethod.BLUR, AnonymizeMethod.PIXELATE])
def test_blurred_and_pixelated_faces_keep_next_to_no_detail(
    tmp_path: Path, method: AnonymizeMethod
) -> None:
    face = slice(90, 210), slice(120, 220)
    after = _run(tmp_path, _noise(), FACE, method=method)
    assert after[face].std() < _noise()[face].std() / 5


def test_solid_is_black_over_the_whole_box(tmp_path: Path) -> None:
    after = _run(
        tmp_path, _noise(), FACE, method=AnonymizeMethod.SOLID, shape=MaskShape.BOX, padding=0.0
    )
    assert not after[90:210, 120:220].any()


def test_the_ellipse_covers_the_whole_face_box_at_default_padding(tmp_path: Path) -> None:
    after = _run(tmp_path, gray_picture(), FACE, method=AnonymizeMethod.SOLID)
    assert not after[90:210, 120:220].any()
    assert after[55, 91].tolist() == [90, 90, 90]


def test_pixelated_cells_are_an_eighth_of_the_face(tmp_path: Path) -> None:
    after = _run(
        tmp_path,
        _noise(),
        (100, 100, 180, 180),
        method=AnonymizeMethod.PIXELATE,
        shape=MaskShape.BOX,
        padding=0.0,
    )
    cells = after[100:180, 100:180].reshape(8, 10, 8, 10, 3)
    assert (cells == cells[:, :1, :, :1]).all()


@pytest.mark.parametrize(
    "box", [(-60, -50, 40, 60), (380, 280, 480, 380), (-900, -900, 900, 900), (399, 299, 401, 301)]
)
def test_faces_over_the_border_are_covered(tmp_path: Path, box: Box) -> None:
    after = _run(tmp_path, gray_picture(), box, method=AnonymizeMethod.SOLID, shape=MaskShape.BOX)
    left, top, right, bottom = (int(max(v, 0)) for v in box)
    assert not after[top:bottom, left:right].any()


def test_a_face_outside_the_picture_changes_nothing(tmp_path: Path) -> None:
    picture = gray_picture()
    assert np.array_equal(_run(tmp_path, picture, (900, 900, 950, 950)), picture)


def test_every_face_is_covered_though_none_was_selected(tmp_path: Path) -> None:
    boxes: list[Box] = [(20, 20, 60, 60), (300, 200, 360, 260)]
    after = _run(tmp_path, gray_picture(), *boxes, method=AnonymizeMethod.SOLID)
    assert not after[20:60, 20:60].any()
    assert not after[200:260, 300:360].any()


def test_faces_without_landmarks_are_enough() -> None:
    assert not FaceAnonymizer.needs_landmarks
    assert FaceAnonymizer.fails_closed


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray"])
def test_a_solid_cover_is_black_in_the_frames_own_format(tmp_path: Path, pix_fmt: str) -> None:
    after = _run(tmp_path, gray_picture(), FACE, method=AnonymizeMethod.SOLID, pix_fmt=pix_fmt)
    assert after[90:210, 120:220].max() <= 1


class _Broken(EditableFrame):
    """A frame that cannot be written."""

    def write_bgr(self, *_args: object) -> None:
        raise OSError("out of order")


def _batch_of(frame: EditableFrame, *boxes: Box) -> list[FaceFrame]:
    faces = tuple(face_at(box) for box in boxes)
    return [FaceFrame(frame=frame, faces=faces, selected=())]


def test_a_cover_that_fails_is_an_error_and_never_a_frame_that_passes(tmp_path: Path) -> None:
    processor = FaceAnonymizer()
    processor.start(context(tmp_path))
    picture = av.VideoFrame.from_ndarray(gray_picture(), format="bgr24")
    with pytest.raises(OSError, match="out of order"):
        processor.process(_batch_of(_Broken(picture, color=ColorTags()), FACE))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_face_that_is_nowhere_is_an_error(tmp_path: Path, wrong: float) -> None:
    processor = FaceAnonymizer()
    processor.start(context(tmp_path))
    with pytest.raises((ValueError, OverflowError)):
        processor.process(_batch_of(frame_of(gray_picture()), (10, 10, wrong, 50)))
