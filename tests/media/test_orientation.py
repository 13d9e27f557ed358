import numpy as np
import pytest

from farm.media.orientation import (
    box_to_stored,
    box_to_upright,
    check_rotation,
    orientation_of,
    turn_stored,
    turn_upright,
)

ONE = 65536
LAST = 1 << 30
ALL = [(r, f) for r in (0, 90, 180, 270) for f in (False, True)]


def matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return a, b, 0, c, d, 0, 0, 0, LAST


@pytest.mark.parametrize(
    ("display_matrix", "expected"),
    [
        (matrix(ONE, 0, 0, ONE), (0, False)),
        (matrix(0, -ONE, ONE, 0), (90, False)),
        (matrix(-ONE, 0, 0, -ONE), (180, False)),
        (matrix(0, ONE, -ONE, 0), (270, False)),
        (matrix(-ONE, 0, 0, ONE), (0, True)),
        (matrix(0, ONE, ONE, 0), (90, True)),
        (matrix(ONE, 0, 0, -ONE), (180, True)),
        (matrix(0, -ONE, -ONE, 0), (270, True)),
        (matrix(2 * ONE, 0, 0, ONE), (0, False)),
        (matrix(100, -ONE, ONE, -100), (90, False)),
    ],
)
def test_quarter_turns_and_mirrors_are_read_from_the_matrix(
    display_matrix: tuple[int, ...], expected: tuple[int, bool]
) -> None:
    assert orientation_of(display_matrix) == expected


@pytest.mark.parametrize(
    "display_matrix",
    [
        (),
        (ONE, 0, 0),
        (0,) * 9,
        matrix(46341, -46341, 46341, 46341),
        matrix(0, ONE, 0, ONE),
        matrix(-(2**63), 0, 0, -(2**63)),
        matrix(-(2**31), 0, 0, -(2**31)),
        matrix(ONE, 0, 0, 0),
    ],
)
def test_a_matrix_that_is_no_quarter_turn_leaves_the_picture_as_stored(
    display_matrix: tuple[int, ...],
) -> None:
    assert orientation_of(display_matrix) == (0, False)


@pytest.mark.parametrize(("rotation", "flipped"), ALL)
def test_a_box_follows_its_pixels_into_the_stored_picture_and_back(
    rotation: int, flipped: bool
) -> None:
    stored = np.arange(5 * 7, dtype=np.int32).reshape(5, 7)
    upright = turn_upright(stored, rotation, flipped)
    box = (1, 0, 3, 2)
    left, top, right, bottom = box_to_stored(box, 7, 5, rotation, flipped)
    part = turn_upright(np.ascontiguousarray(stored[top:bottom, left:right]), rotation, flipped)
    assert np.array_equal(part, upright[0:2, 1:3])
    assert box_to_upright((left, top, right, bottom), 7, 5, rotation, flipped) == box


@pytest.mark.parametrize(("rotation", "flipped"), ALL)
def test_turning_to_stored_undoes_turning_upright(rotation: int, flipped: bool) -> None:
    stored = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    turned = turn_upright(stored, rotation, flipped)
    assert np.array_equal(turn_stored(turned, rotation, flipped), stored)


def test_negative_rotations_are_taken_round_the_circle() -> None:
    assert check_rotation(-90) == 270
    with pytest.raises(ValueError, match="45"):
        check_rotation(45)
