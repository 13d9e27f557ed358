import numpy as np
import pytest

from farm.faces.align import arcface_template, crop_box
from farm.faces.face import Face
from farm.faces.masks import shape_mask
from farm.faces.paste import clip_box, paste_crop, take_crop
from farm.paste_settings import FaceMask
from tests.faces.pictures import GRAY, face_at, frame_of, gray_picture

TEMPLATE = arcface_template(128)
MASK = shape_mask(FaceMask.ELLIPSE, 0.15)


def test_a_crop_shows_the_landmarks_at_the_template() -> None:
    picture = gray_picture()
    face = Face(
        box_xyxy=np.array([100, 60, 228, 188], np.float32),
        score=1.0,
        landmarks_xy=(TEMPLATE + np.array([100, 60])).astype(np.float32),
    )
    x, y = np.rint(TEMPLATE[2] + (100, 60)).astype(int)
    picture[y, x] = (0, 0, 255)
    crop = take_crop(frame_of(picture), face, TEMPLATE, 128)
    assert crop is not None
    red = crop.pixels_bgr[..., 2].astype(int) - crop.pixels_bgr[..., 0]
    found = np.unravel_index(int(red.argmax()), red.shape)
    assert np.abs(np.array(found[::-1]) - TEMPLATE[2]).max() <= 1


def test_a_large_face_is_averaged_not_sampled() -> None:
    picture = gray_picture(1600, 1600)
    picture[:, ::2] = 0
    crop = take_crop(frame_of(picture), face_at((100, 100, 1500, 1500)), TEMPLATE, 128)
    assert crop is not None
    assert np.abs(crop.pixels_bgr[30:100, 30:100].astype(int) - GRAY // 2).max() <= 2


def test_shrinking_first_does_not_move_the_crop() -> None:
    picture = gray_picture(1600, 1600)
    picture[:, 800:] = 255
    crop = take_crop(frame_of(picture), face_at((300, 300, 1300, 1300)), TEMPLATE, 128)
    assert crop is not None
    edge = crop.matrix @ (799.5, 800, 1)
    step = int(np.argmax(crop.pixels_bgr[64, :, 0] > (GRAY + 255) / 2))
    assert abs(step - 0.5 - edge[0]) < 0.75


def test_pasting_changes_only_the_crops_box_and_fills_its_middle() -> None:
    frame = frame_of(gray_picture())
    crop = take_crop(frame, face_at((150, 100, 230, 180)), TEMPLATE, 128)
    assert crop is not None
    before = frame.to_bgr()
    new = np.zeros((128, 128, 3), np.uint8)
    new[:] = (10, 200, 30)
    paste_crop(frame, crop, new, MASK)
    after = frame.to_bgr()
    left, top, right, bottom = crop_box(crop.matrix, 128)
    outside = np.ones(after.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(after[outside], before[outside])
    assert after[140, 190].tolist() == [10, 200, 30]


def test_half_weight_is_half_way() -> None:
    frame = frame_of(gray_picture())
    crop = take_crop(frame, face_at((150, 100, 230, 180)), TEMPLATE, 128)
    assert crop is not None
    paste_crop(frame, crop, np.full((128, 128, 3), 190, np.uint8), MASK * np.float32(0.5))
    assert np.abs(frame.to_bgr()[140, 190].astype(int) - 140).max() <= 1


def test_a_face_over_the_border_is_cropped_and_pasted() -> None:
    frame = frame_of(gray_picture())
    face = face_at((-40, -30, 60, 70))
    crop = take_crop(frame, face, TEMPLATE, 128)
    assert crop is not None
    assert (crop.pixels_bgr == GRAY).all()
    dark = take_crop(frame, face, TEMPLATE, 128, black_outside=True)
    assert dark is not None
    assert dark.pixels_bgr[0, 0].tolist() == [0, 0, 0]
    paste_crop(frame, crop, np.full((128, 128, 3), 250, np.uint8), MASK)
    assert frame.to_bgr()[20, 10].tolist() == [250, 250, 250]


@pytest.mark.parametrize("grow", [1, 2, 4])
@pytest.mark.parametrize("side", [40, 128, 700])
def test_a_crop_pasted_back_is_the_picture_again(grow: int, side: int) -> None:
    """Nothing moves on the way out and back, however fine the crop and large the face."""
    rows, columns = np.indices((900, 1000))
    picture = np.stack([columns / 5 + 20, rows / 5 + 10, (rows + columns) / 9 + 5], -1)
    frame = frame_of(np.rint(picture).astype(np.uint8))
    crop = take_crop(frame, face_at((150, 100, 150 + side, 100 + side)), TEMPLATE, 128, grow=grow)
    assert crop is not None
    assert crop.size_px == 128 * grow
    before = frame.to_bgr().astype(int)
    paste_crop(frame, crop, crop.pixels_bgr, MASK)
    assert frame.touched
    assert np.abs(frame.to_bgr() - before).max() <= 1


def test_a_finer_replacement_lies_where_the_coarse_one_would() -> None:
    """A step in the replacement stays in its place at four times the pixels."""
    steps = []
    for times in (1, 4):
        frame = frame_of(gray_picture(1000, 900))
        crop = take_crop(frame, face_at((150, 100, 750, 700)), TEMPLATE, 128)
        assert crop is not None
        new = np.zeros((128 * times, 128 * times, 3), np.uint8)
        new[:, 64 * times :] = 240
        paste_crop(frame, crop, new, MASK)
        row = frame.to_bgr()[400, :, 1].astype(float)
        steps.append(int(np.argmax(row[300:600] > 120)) + 300)
    assert abs(steps[0] - steps[1]) <= 1


def test_a_replacement_much_finer_than_the_picture_is_averaged() -> None:
    frame = frame_of(gray_picture())
    crop = take_crop(frame, face_at((150, 100, 190, 140)), TEMPLATE, 128)
    assert crop is not None
    lines = np.zeros((512, 512, 3), np.uint8)
    lines[:, ::2] = 200
    paste_crop(frame, crop, lines, MASK)
    assert np.abs(frame.to_bgr()[110:125, 162:178].astype(int) - 100).max() <= 15


def test_faces_that_cannot_be_aligned_give_no_crop() -> None:
    frame = frame_of(gray_picture())
    assert take_crop(frame, face_at((900, 900, 1000, 1000)), TEMPLATE, 128) is None
    flat = Face(
        box_xyxy=np.zeros(4, np.float32), score=1.0, landmarks_xy=np.ones((5, 2), np.float32)
    )
    assert take_crop(frame, flat, TEMPLATE, 128) is None
    with pytest.raises(ValueError, match="landmarks"):
        take_crop(frame, face_at((0, 0, 9, 9), landmarks=False), TEMPLATE, 128)


def test_boxes_are_clipped_to_the_picture() -> None:
    frame = frame_of(gray_picture(100, 80))
    assert clip_box(frame, (-5, -5, 500, 10)) == (0, 0, 100, 10)
    assert clip_box(frame, (100, 0, 120, 10)) is None
