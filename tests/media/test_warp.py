import numpy as np
import pytest

from farm.media.orientation import turn_upright
from farm.media.warp import (
    inverse,
    moved_origin,
    resized,
    stored_to_upright,
    target_box,
    then,
    warp,
)

TURNED = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0]])


def at(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    return np.asarray(matrix @ (x, y, 1))


def test_matrices_follow_each_other_and_are_undone() -> None:
    both = then(TURNED, moved_origin(10, 20))
    assert np.allclose(at(both, 3, 4), at(TURNED, 3, 4) - (10, 20))
    assert np.allclose(at(then(TURNED, inverse(TURNED)), 7, 8), (7, 8))


def test_enlarging_keeps_the_corners_of_pixels_in_their_place() -> None:
    assert np.allclose(at(resized(4, 2), -0.5, -0.5), (-0.5, -0.5))
    assert np.allclose(at(resized(4, 2), 9.5, 9.5), (39.5, 19.5))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_way_to_the_upright_picture_is_that_of_its_pixels(rotation: int, flipped: bool) -> None:
    stored = np.arange(7 * 5, dtype=np.uint8).reshape(5, 7)
    upright = turn_upright(stored, rotation, flipped)
    matrix = stored_to_upright(7, 5, rotation, flipped)
    for y, x in ((0, 0), (1, 5), (4, 2)):
        to_x, to_y = np.rint(at(matrix, x, y)).astype(int)
        assert upright[to_y, to_x] == stored[y, x]


def test_the_target_box_holds_the_corners() -> None:
    left, top, right, bottom = target_box(TURNED, (0, 0, 10, 10))
    places = np.array([at(TURNED, x, y) for x in (-0.5, 9.5) for y in (-0.5, 9.5)])
    assert (places.min(0) > (left, top)).all()
    assert (places.max(0) < (right - 1, bottom - 1)).all()


@pytest.mark.parametrize("times", [1.0, 2.3, 7.9])
def test_shrinking_moves_nothing_and_keeps_the_mean(times: float) -> None:
    columns = np.indices((400, 400))[1]
    ramp = (columns / 2 + 20).astype(np.float32)
    small = warp(ramp, resized(1 / times, 1 / times), (40, 40))
    expected = ((np.arange(40) + 0.5) * times - 0.5) / 2 + 20
    assert np.abs(small[20] - expected).max() < 0.6
