"""Boxes against boxes: how much they overlap, and which belong together.

Not for: detectors' own choice among their hits (`farm.faces.canvas`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAME_PLACE = 0.3
"""Least overlap (intersection by union) of two sights of one face in neighbouring pictures."""
_NEAR = 0.8
"""Distance of centres, in face sizes, from which two sights are not of one face."""
_SAME_CENTRE = 0.5
"""What one centre counts for where boxes do not overlap, as a share of their union."""
_GROWTH = 1.7
"""Ratio of sizes from which they are not."""


def overlaps(
    first_xyxy: NDArray[np.float32], second_xyxy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """[n, m] intersection by union of [n, 4] and [m, 4] boxes."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    union = areas(first_xyxy)[:, None] + areas(second_xyxy)[None] - common
    return np.asarray(common / np.maximum(union, 1e-6), np.float32)


def areas(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] areas of [n, 4] boxes."""
    return np.asarray(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(axis=1))


def pair(scores: NDArray[np.float32], least: float) -> NDArray[np.int64]:
    """[n] partner of each row among the columns of [n, m] scores, -1 for none.

    The best score is taken first; of equal ones the first row, then the first column.
    """
    rows, columns = scores.shape
    partner = np.full(rows, -1, np.int64)
    taken = np.zeros(columns, np.bool_)
    for flat in np.argsort(-scores, axis=None, kind="stable"):
        row, column = divmod(int(flat), columns)
        if scores[row, column] < least:
            break
        if partner[row] < 0 and not taken[column]:
            partner[row] = column
            taken[column] = True
    return partner


def pair_boxes(
    first_xyxy: NDArray[np.float32],
    second_xyxy: NDArray[np.float32],
    least: float = SAME_PLACE,
) -> NDArray[np.int64]:
    """[n] the box of the second list that shows the same face, -1 for none."""
    if not len(first_xyxy) or not len(second_xyxy):
        return np.full(len(first_xyxy), -1, np.int64)
    return pair(overlaps(first_xyxy, second_xyxy), least)


def nearness(
    boxes_xyxy: NDArray[np.float32], expected_xyxy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """[n, m] how near boxes are: enough to belong together up to a distance, 0 from there on.

    Small faces leave their box from frame to frame; what tells them then is how near they are.
    """
    sizes, others = _sizes(boxes_xyxy), _sizes(expected_xyxy)
    apart = np.linalg.norm(centres(boxes_xyxy)[:, None] - centres(expected_xyxy)[None], axis=2)
    mean = (sizes[:, None] + others[None]) / 2
    growth = np.maximum(sizes[:, None], others[None]) / np.maximum(
        np.minimum(sizes[:, None], others[None]), 1e-6
    )
    share = apart / (_NEAR * np.maximum(mean, 1e-6))
    near = _SAME_CENTRE - (_SAME_CENTRE - SAME_PLACE) * share
    fits = (apart <= _NEAR * mean) & (growth <= _GROWTH)
    return np.asarray(np.where(fits, near, 0.0), np.float32)


def centres(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, 2] middles of [n, 4] boxes."""
    return np.asarray((boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2, np.float32)


def _sizes(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] longer sides."""
    return np.asarray((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1), np.float32)
