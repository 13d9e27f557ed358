import numpy as np
import pytest

from farm.faces.masks import MASK_PX, mouth_mask, shape_mask
from farm.paste_settings import FaceMask
from tests.model_maker import LANDMARK_SHARES

MIDDLE = MASK_PX // 2


@pytest.mark.parametrize("shape", list(FaceMask))
@pytest.mark.parametrize("feather", [0.0, 0.15, 0.5])
def test_a_mask_is_full_inside_and_nothing_at_the_border(shape: FaceMask, feather: float) -> None:
    mask = shape_mask(shape, feather)
    assert mask[MIDDLE, MIDDLE] > 0.99
    assert mask[:, 0].max() < 0.2
    assert mask[0].max() < 0.2
    assert (np.diff(mask[MIDDLE, :MIDDLE]) >= 0).all()
    assert np.allclose(mask, mask[::-1, ::-1])


def test_a_wider_feather_has_gentler_slopes() -> None:
    slopes = [np.abs(np.diff(shape_mask(FaceMask.BOX, f)[MIDDLE])).max() for f in (0, 0.1, 0.3)]
    assert slopes[0] > 2 * slopes[1] > 4 * slopes[2]


def test_an_ellipse_leaves_the_corners_that_a_box_covers() -> None:
    box, ellipse = (shape_mask(s, 0.1) for s in (FaceMask.BOX, FaceMask.ELLIPSE))
    assert box[16, 16] > 0.9
    assert ellipse[16, 16] == 0
    assert ellipse[MIDDLE, 26] > 0.9
    assert ellipse[20, MIDDLE] > 0.9


def test_masks_are_shared_and_cannot_be_written() -> None:
    mask = shape_mask(FaceMask.BOX, 0.1)
    assert mask is shape_mask(FaceMask.BOX, 0.1)
    with pytest.raises(ValueError, match="read-only"):
        mask[0, 0] = 1


@pytest.mark.parametrize("degrees", [0, 90, 200])
def test_the_mouth_is_kept_and_the_eyes_are_not(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = (LANDMARK_SHARES - 0.5) * 0.6 @ turn.T + 0.5
    mask = mouth_mask(places.astype(np.float64))

    def at(place: np.ndarray) -> float:
        x, y = np.rint(place * MASK_PX).astype(int)
        return float(mask[y, x])

    mouth, nose = (places[3] + places[4]) / 2, places[2]
    assert at(mouth) == 1
    assert at(mouth + (mouth - nose) * 0.6) > 0.5
    assert at(places[0]) == at(places[1]) == 0
    assert at(nose) < 0.5


def test_landmarks_in_one_place_have_no_mouth() -> None:
    assert not mouth_mask(np.full((5, 2), 0.5)).any()
