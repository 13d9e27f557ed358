from __future__ import annotations

import numpy as np

from farm.faces.geometry import overlaps, pair, pair_boxes

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)


def test_overlap_is_the_share_of_what_two_boxes_cover_together() -> None:
    moved = np.array([[5, 0, 15, 10]], np.float32)
    assert np.allclose(overlaps(BOXES, moved)[:, 0], [1 / 3, 0])
    assert overlaps(BOXES, BOXES).tolist() == [[1, 0], [0, 1]]


def test_the_best_pair_is_taken_first_and_each_is_taken_once() -> None:
    scores = np.array([[0.6, 0.5], [0.9, 0.1], [0.2, 0.2]], np.float32)
    assert pair(scores, 0.3).tolist() == [1, 0, -1]


def test_of_equal_scores_the_first_wins() -> None:
    assert pair(np.full((2, 2), 0.5, np.float32), 0.3).tolist() == [0, 1]


def test_no_boxes_have_no_partners() -> None:
    none = np.empty((0, 4), np.float32)
    assert pair_boxes(BOXES, none).tolist() == [-1, -1]
    assert pair_boxes(none, BOXES).tolist() == []
