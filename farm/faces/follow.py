"""Following faces through the frames between two detections, by optical flow from both ends.

What comes out is a function of the frames between the two and of nothing else.
Not for: finding faces (`farm.faces.detect`) or naming tracks (`farm.faces.track`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.align import similarity
from farm.faces.face import Face
from farm.faces.geometry import pair_boxes

SIDE_PX = 640
"""Longest side of the pictures in which faces are followed."""
_GRID = 7
"""Points along each side of a face."""
_INNER = 0.8
"""Share of the box that the points cover: its corners are background."""
_WINDOW_PX = 15
_LEVELS = 3
_RETURN_PX = 1.0
"""A point that flow takes there and back again must come home within this."""
_LEAST_POINTS = 8
_OUTLIER = 3.0
"""Times the median error from which a point does not move with the face."""
_AGREE = 0.12
"""Share of a face's size by which the two ends may differ about where it is."""
_FEWEST_PX = 8.0
"""Smaller faces, in the followed picture, hold nothing to follow."""

Points = NDArray[np.float32]
Places = NDArray[np.float32]
"""[faces, 9, 2]: two corners and the other two of each box, then five landmarks."""


class Flow:
    """Optical flow between gray pictures of a stretch of frames."""

    def __init__(self, lumas: Sequence[NDArray[np.uint8]]) -> None:
        """Take [h, w] uint8 pictures of one size, no side longer than `SIDE_PX`."""
        self._lumas = lumas

    def move(self, start: int, stop: int, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where [n, 2] points of one picture are in another, and which can be trusted."""
        there, seen = self._flow(start, stop, points)
        back, seen_back = self._flow(stop, start, there)
        home = np.linalg.norm(back - points, axis=1) <= _RETURN_PX
        return there, seen & seen_back & home

    def _flow(self, start: int, stop: int, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        moved, status, _error = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            self._lumas[start],
            self._lumas[stop],
            np.ascontiguousarray(points, np.float32).reshape(-1, 1, 2),
            None,
            winSize=(_WINDOW_PX, _WINDOW_PX),
            maxLevel=_LEVELS,
        )
        return np.asarray(moved, np.float32).reshape(-1, 2), status.ravel().astype(np.bool_)


def follow(
    flow: Flow,
    ratio: float,
    start: int,
    stop: int,
    first: Sequence[Face],
    last: Sequence[Face],
) -> list[list[Face]] | None:
    """The faces of each picture between `start` and `stop`, both of which were searched.

    Args:
        flow: The pictures.
        ratio: Their size by that of the frames, whose pixels the faces are in.
        start: Number of the picture that shows the faces `first`.
        stop: Number of the one that shows `last`.
        first: Detected faces.
        last: Detected faces.

    Returns:
        For each picture between, in the order of `first`; None where the two ends do not tell of
        the same faces, or do not agree on their way: then a picture between must be searched.
    """
    if len(first) != len(last):
        return None
    if not first:
        return [[] for _ in range(start + 1, stop)]
    begin, end = _places(first) * ratio, _places(last) * ratio
    if min(_sizes(begin).min(), _sizes(end).min()) < _FEWEST_PX:
        return None
    forward = _path(flow, begin, range(start, stop + 1))
    if forward is None:
        return None
    partner = pair_boxes(_boxes(forward[-1]), _boxes(end))
    if (partner < 0).any():
        return None
    backward = _path(flow, end[partner], range(stop, start - 1, -1))
    if backward is None:
        return None
    paths = _joined(np.stack(forward), np.stack(backward[::-1]), begin, end[partner])
    if paths is None:
        return None
    ends = [last[i] for i in partner]
    return [
        [_face(a, b, place / ratio) for a, b, place in zip(first, ends, places, strict=True)]
        for places in paths[1:-1]
    ]


def _path(flow: Flow, places: Places, numbers: range) -> list[Places] | None:
    """Where the faces are in each picture, the first included; None where one is lost."""
    grids = np.stack([_grid(box) for box in _boxes(places)])
    now, alive = grids.reshape(-1, 2), np.ones(grids.shape[:2], np.bool_)
    path = [places]
    for before, number in pairwise(numbers):
        now, good = flow.move(before, number, now)
        alive &= good.reshape(alive.shape)
        here = now.reshape(grids.shape)
        moved = [_moved(*each) for each in zip(places, grids, here, alive, strict=True)]
        if any(each is None for each in moved):
            return None
        path.append(np.stack([each for each in moved if each is not None]))
    return path


def _moved(places: Places, grid: Points, here: Points, alive: NDArray[np.bool_]) -> Places | None:
    """The places of one face, moved as most of its living points are; None where too few agree."""
    keep = alive.copy()
    matrix = None
    for _ in range(3):
        if keep.sum() < _LEAST_POINTS:
            return None
        matrix = similarity(grid[keep], here[keep].astype(np.float64))
        if matrix is None:
            return None
        errors = np.linalg.norm(grid @ matrix[:, :2].T + matrix[:, 2] - here, axis=1)
        limit = max(0.5, _OUTLIER * float(np.median(errors[keep])))
        keep = alive & (errors <= limit)
    assert matrix is not None
    return np.asarray(places @ matrix[:, :2].T + matrix[:, 2], np.float32)


def _joined(forward: Places, backward: Places, begin: Places, end: Places) -> Places | None:
    """[pictures, faces, 9, 2]: both paths led to both detections and mixed by nearness.

    None where they differ by more than a detection and a good path do.
    """
    steps = len(forward) - 1
    late = (np.arange(steps + 1, dtype=np.float32) / steps).reshape(-1, 1, 1, 1)
    sizes = np.minimum(_sizes(begin), _sizes(end))
    for path, aim in ((forward[-1], end), (backward[0], begin)):
        apart = np.linalg.norm(path - aim, axis=2)
        if (apart.mean(axis=1) > _AGREE * sizes).any():
            return None
    ahead = forward + late * (end - forward[-1])
    astern = backward + (1 - late) * (begin - backward[0])
    apart = np.linalg.norm(ahead - astern, axis=3).mean(axis=2)
    if (apart > _AGREE * sizes).any():
        return None
    return np.asarray((1 - late) * ahead + late * astern, np.float32)


def _places(faces: Sequence[Face]) -> Places:
    """Corners and landmarks of faces; where there are no landmarks, points of the box."""
    found = np.empty((len(faces), 9, 2), np.float32)
    for i, face in enumerate(faces):
        left, top, right, bottom = face.box_xyxy
        found[i, :4] = [[left, top], [right, bottom], [left, bottom], [right, top]]
        points = face.landmarks_xy
        found[i, 4:] = found[i, :4].mean(axis=0) if points is None else points
    return found


def _boxes(places: Places) -> NDArray[np.float32]:
    """[faces, 4] boxes of places; one that is turned keeps its size."""
    corner, opposite, under, beside = (places[:, i] for i in range(4))
    left, right = (corner + under)[:, 0], (opposite + beside)[:, 0]
    top, bottom = (corner + beside)[:, 1], (opposite + under)[:, 1]
    return np.asarray(np.stack([left, top, right, bottom], axis=1) / 2, np.float32)


def _sizes(places: Places) -> NDArray[np.float32]:
    """[faces] longer side of each box."""
    boxes = _boxes(places)
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1), np.float32)


def _grid(box_xyxy: NDArray[np.float32]) -> Points:
    """[n, 2] points over the inner part of a box."""
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) / 2 * _INNER
    steps = np.linspace(-1, 1, _GRID, dtype=np.float32)
    x, y = np.meshgrid(centre[0] + half[0] * steps, centre[1] + half[1] * steps)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _face(first: Face, last: Face, places: NDArray[np.float32]) -> Face:
    """A face between two detections of it."""
    has_landmarks = first.landmarks_xy is not None and last.landmarks_xy is not None
    return Face(
        box_xyxy=_boxes(places[None])[0],
        score=min(first.score, last.score),
        landmarks_xy=places[4:].copy() if has_landmarks else None,
    )
