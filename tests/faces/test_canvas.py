import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import ModelError
from farm.faces.canvas import (
    Candidates,
    best_of_overlapping,
    canvas_size,
    place,
    shares,
    to_faces,
)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_canvas_is_a_multiple_of_the_largest_stride_and_no_larger_than_needed(
    width: int, height: int
) -> None:
    wide, high = canvas_size(width, height, 640)
    assert wide % 32 == high % 32 == 0
    assert max(wide, high) <= 640
    assert wide - 32 < width
    assert high - 32 < height


def test_a_small_picture_is_placed_as_it_is() -> None:
    picture = np.full((20, 30, 3), 7, np.uint8)
    canvas = place(picture, (64, 32))
    assert canvas.shape == (32, 64, 3)
    assert (canvas[:20, :30] == 7).all()
    assert int(canvas.sum()) == 7 * 20 * 30 * 3


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], np.float32)
    assert best_of_overlapping(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.4) == [1, 2]
    assert best_of_overlapping(boxes[:0], np.zeros(0, np.float32), 0.4) == []


def test_shares_are_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 20]], np.float32)
    assert np.allclose(shares(boxes[0], boxes), [1, 1 / 3, 0])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_face_without_a_place_is_an_error_and_never_no_face(wrong: float) -> None:
    found = Candidates(
        boxes_xyxy=np.array([[0, 0, wrong, 10]], np.float32),
        scores=np.ones(1, np.float32),
        landmarks_xy=np.zeros((1, 5, 2), np.float32),
    )
    with pytest.raises(ModelError, match="without a place"):
        to_faces(found, (20, 20), (32, 32), 0.4)
