"""Face detection with the cascades of opencv-python: no download, boxes only.

For trying the farm out: it misses turned, tilted, small and dark faces, so it is not fit for
privacy work. Not for: anything that needs landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import SetupError
from farm.faces.canvas import best_of_overlapping, largest_first
from farm.faces.face import Face

MAX_SIDE_PX = 480
_MIN_SHARE = 1 / 16
"""Smallest face, as a share of the picture's shorter side."""
_OVERLAP = 0.2
_PROFILE_SCALE = 2 / 3
_FRONTAL, _PROFILE = "haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"
_Found = list[tuple[NDArray[np.float32], float]]


class CascadeDetector:
    """Frontal and profile cascades over several scales; an instance belongs to one thread."""

    name = "cascade"
    has_landmarks = False
    wants_gray = True
    max_side_px = MAX_SIDE_PX

    def __init__(self) -> None:
        """Load the cascades.

        Raises:
            SetupError: The installed OpenCV has no cascades.
        """
        self._frontal = _load(_FRONTAL)
        self._profile = _load(_PROFILE)

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each [h, w] gray or [h, w, 3] BGR uint8 picture, largest first."""
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: NDArray[np.uint8]) -> list[Face]:
        gray = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        found = _search(self._frontal, gray, step=1.1, neighbours=2)
        # The profile cascade is slow and sees no more in a sharper picture.
        few = cv2.resize(
            gray, None, fx=_PROFILE_SCALE, fy=_PROFILE_SCALE, interpolation=cv2.INTER_AREA
        )
        sides = _search(self._profile, few, step=1.2, neighbours=5)
        mirrored = _search(self._profile, cv2.flip(few, 1), step=1.2, neighbours=5)
        sides += [(_mirror(box, few.shape[1]), score) for box, score in mirrored]
        return _merge(found, [(box / np.float32(_PROFILE_SCALE), score) for box, score in sides])


def _search(
    cascade: cv2.CascadeClassifier, gray: cv2.typing.MatLike, step: float, neighbours: int
) -> _Found:
    """Boxes and scores below 1; `step` is the ratio of neighbouring scales."""
    side = max(20, round(min(gray.shape[:2]) * _MIN_SHARE))
    boxes, counts = cascade.detectMultiScale2(
        gray, scaleFactor=step, minNeighbors=neighbours, minSize=(side, side)
    )
    return [
        (np.array([x, y, x + w, y + h], np.float32), float(count / (count + 10.0)))
        for (x, y, w, h), count in zip(boxes, counts, strict=True)
    ]


def _mirror(box_xyxy: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A box found in the mirrored picture."""
    left, top, right, bottom = box_xyxy
    return np.array([width - right, top, width - left, bottom], np.float32)


def _merge(frontal: _Found, profile: _Found) -> list[Face]:
    """One face for each group of overlapping boxes; a frontal box stands before a profile one."""
    found = [*frontal, *profile]
    if not found:
        return []
    boxes = np.stack([box for box, _score in found])
    scores = [score for _box, score in found]
    ranks = np.array([s + (i < len(frontal)) for i, s in enumerate(scores)], np.float32)
    keep = best_of_overlapping(boxes, ranks, _OVERLAP)
    return largest_first([Face(box_xyxy=_whole_face(boxes[i]), score=scores[i]) for i in keep])


def _whole_face(box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cascades' square, grown to forehead and chin like the boxes of other detectors."""
    left, top, right, bottom = box_xyxy
    height = bottom - top
    return np.array([left, top - 0.05 * height, right, bottom + 0.15 * height], np.float32)


def _load(file_name: str) -> cv2.CascadeClassifier:
    """A cascade of the installed OpenCV."""
    fix = "install the requirements again (opencv-python below 5)"
    data = getattr(cv2, "data", None)
    if data is None or not hasattr(cv2, "CascadeClassifier"):
        raise SetupError(f"the installed OpenCV {cv2.__version__} has no cascades: {fix}")
    path = Path(data.haarcascades) / file_name
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise SetupError(f"{path} is missing or damaged: {fix}")
    return cascade
