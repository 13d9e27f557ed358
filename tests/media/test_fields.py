from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.media.fields import InterlacedFrame, editable
from farm.media.frame import EditableFrame
from farm.media.planes import plane_lines
from farm.media.stream import ColorTags
from farm.process import _of_both_fields
from tests.media.test_frame import copy_planes, noise_frame

COLOR = ColorTags(range=1, space=1)
SIZE = (96, 64)
TURNS = [(0, False), (0, True), (90, False), (90, True), (180, False), (270, False), (270, True)]
PIX_FMTS = ["yuv420p", "yuv422p10le", "yuv444p", "nv12", "gray", "uyvy422"]


def two_moments(pix_fmt: str = "yuv420p") -> av.VideoFrame:
    """Upper field black, lower field white."""
    frame = av.VideoFrame(*SIZE, pix_fmt)
    for plane in range(len(frame.planes)):
        lines = plane_lines(frame, plane)
        lines[0::2], lines[1::2] = (16, 235) if plane == 0 else (128, 128)
    return frame


@pytest.mark.parametrize(("rotation", "flipped"), TURNS)
def test_a_field_shows_one_moment_only(rotation: int, flipped: bool) -> None:
    whole = InterlacedFrame(two_moments(), rotation=rotation, flipped=flipped, color=COLOR)
    upper, lower = whole.pictures
    box = (8, 12, 40, 44)
    assert upper.read_bgr(box)[0].max() == 0
    assert lower.read_bgr(box)[0].min() == 255
    assert upper.to_bgr().shape == whole.to_bgr().shape
    assert upper.to_bgr(32).max() == 0
    assert lower.read_luma(32).min() == 255


@pytest.mark.parametrize("pix_fmt", PIX_FMTS)
@pytest.mark.parametrize("field", [0, 1])
def test_what_is_written_to_a_field_leaves_the_other_bit_for_bit(pix_fmt: str, field: int) -> None:
    frame = noise_frame(pix_fmt, 3, *SIZE)
    before = copy_planes(frame)
    whole = InterlacedFrame(frame, color=COLOR)
    picture = whole.pictures[field]
    region = np.full((21, 30, 3), 90, np.uint8)
    picture.write_bgr(region, np.ones((21, 30), np.float32), (10, 9, 40, 30))
    after = copy_planes(whole.video_frame)
    assert whole.touched
    for one, two in zip(before, after, strict=True):
        assert np.array_equal(one[1 - field :: 2], two[1 - field :: 2])
        assert not np.array_equal(one[field::2], two[field::2])


@pytest.mark.parametrize(("rotation", "flipped"), TURNS)
def test_lines_go_back_to_where_they_were_read(rotation: int, flipped: bool) -> None:
    frame = noise_frame("bgr24", 5, *SIZE)
    before = copy_planes(frame)[0][:, : SIZE[0] * 3]
    whole = InterlacedFrame(frame, rotation=rotation, flipped=flipped, color=COLOR)
    for picture in whole.pictures:
        region, used = picture.read_bgr((7, 5, 50, 45))
        picture.write_bgr(region, np.ones(region.shape[:2], np.float32), used)
    after = plane_lines(whole.video_frame, 0)[:, : SIZE[0] * 3]
    assert np.array_equal(before, after)


def test_chroma_of_a_field_is_that_of_its_own_lines() -> None:
    frame = two_moments()
    for number, plane in ((1, 90), (2, 240)):
        plane_lines(frame, number)[0::2] = plane
    upper, lower = InterlacedFrame(frame, color=COLOR).pictures
    assert np.ptp(lower.read_bgr((4, 3, 20, 21))[0].reshape(-1, 3), axis=0).max() == 0
    assert upper.read_bgr((4, 3, 20, 21))[0][..., 2].min() > 100


def test_a_height_that_does_not_split_stays_one_picture() -> None:
    whole = InterlacedFrame(noise_frame("yuv420p", 1, 64, 62), color=COLOR)
    assert whole.pictures == (whole,)


def test_progressive_frames_are_one_picture() -> None:
    frame = editable(noise_frame("yuv420p", 1, 64, 64), color=COLOR)
    assert type(frame) is EditableFrame
    assert frame.pictures == (frame,)


class FindsInUpperOnly:
    """A detector that sees a face in every second picture."""

    name = "half"
    has_landmarks = False
    max_side_px = 64
    wants_gray = False

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        face = Face(box_xyxy=np.array([8, 8, 24, 24], np.float32), score=1.0, landmarks_xy=None)
        return [[face] if number % 2 == 0 else [] for number in range(len(frames))]


def test_a_face_found_in_one_field_is_covered_in_both() -> None:
    whole = InterlacedFrame(noise_frame("yuv420p", 1, *SIZE), color=COLOR)
    found = _of_both_fields([whole.pictures], FindsInUpperOnly())
    assert [len(faces) for faces in found[0]] == [1, 1]
