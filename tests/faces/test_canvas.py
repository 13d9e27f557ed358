import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from farm.faces.canvas import best_of_overlapping, canvas_size, place, shares


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
