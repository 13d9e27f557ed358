import numpy as np
import pytest

from farm.faces.align import arcface_template
from farm.faces.face import Face
from farm.faces.paste import clip_box, feather_mask, paste_crop, take_crop
from tests.faces.pictures import GRAY, face_at, frame_of, gray_picture

TEMPLATE = arcface_template(128)


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
    paste_crop(frame, crop, new)
    after = frame.to_bgr()
    left, top, right, bottom = crop.box_xyxy
    outside = np.ones(after.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(after[outside], before[outside])
    assert after[140, 190].tolist() == [10, 200, 30]


def test_half_weight_is_half_way() -> None:
    frame = frame_of(gray_picture())
    crop = take_crop(frame, face_at((150, 100, 230, 180)), TEMPLATE, 128)
    assert crop is not None
    paste_crop(frame, crop, np.full((128, 128, 3), 190, np.uint8), weight=0.5)
    assert np.abs(frame.to_bgr()[140, 190].astype(int) - 140).max() <= 1


def test_a_face_over_the_border_is_cropped_and_pasted() -> None:
    frame = frame_of(gray_picture())
    crop = take_crop(frame, face_at((-40, -30, 60, 70)), TEMPLATE, 128)
    assert crop is not None
    assert crop.box_xyxy[:2] == (0, 0)
    assert crop.pixels_bgr[0, 0].tolist() == [0, 0, 0]
    paste_crop(frame, crop, np.full((128, 128, 3), 250, np.uint8))
    assert frame.to_bgr()[20, 10].tolist() == [250, 250, 250]


def test_faces_that_cannot_be_aligned_give_no_crop() -> None:
    frame = frame_of(gray_picture())
    assert take_crop(frame, face_at((900, 900, 1000, 1000)), TEMPLATE, 128) is None
    flat = Face(
        box_xyxy=np.zeros(4, np.float32), score=1.0, landmarks_xy=np.ones((5, 2), np.float32)
    )
    assert take_crop(frame, flat, TEMPLATE, 128) is None
    with pytest.raises(ValueError, match="landmarks"):
        take_crop(frame, face_at((0, 0, 9, 9), landmarks=False), TEMPLATE, 128)


def test_the_feather_is_full_inside_and_nothing_at_the_border() -> None:
    mask = feather_mask(128)
    assert mask[64, 64] == 1
    assert mask[:, 0].max() < 0.01
    assert (np.diff(mask[64, :20]) >= 0).all()


def test_boxes_are_clipped_to_the_picture() -> None:
    frame = frame_of(gray_picture(100, 80))
    assert clip_box(frame, (-5, -5, 500, 10)) == (0, 0, 100, 10)
    assert clip_box(frame, (100, 0, 120, 10)) is None
