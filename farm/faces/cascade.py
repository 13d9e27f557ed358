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
NOTE = (
    "faces are found by OpenCV's cascades, which miss turned and small ones: for trying out, not "
    "for privacy; `--detector yunet` fetches a better one (0.3 MB)"
)
"""What the user is told wherever these cascades look for faces."""
_MIN_SHARE = 1 / 16
"""Smallest face, as a share of the picture's shorter side."""
_OVERLAP = 0.2
_ENGULFED = 0.5
"""Share of a face within another box from which the two contradict each other."""
_MUCH_LARGER = 2.0
"""Ratio of areas from which they are not two sights of one face."""
_MUCH_BETTER = 3.0
"""Ratio of the hits behind two such boxes from which the larger one is taken for a mistake."""
_PROFILE_SCALE = 2 / 3
_FRONTAL, _PROFILE = "haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"
Hits = list[tuple[NDArray[np.float32], int]]
"""Boxes in pixels of the picture, and how many neighbouring hits stand behind each."""


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
        sides += [(_mirror(box, few.shape[1]), hits) for box, hits in mirrored]
        return merge(found, [(box / np.float32(_PROFILE_SCALE), hits) for box, hits in sides])


def _search(
    cascade: cv2.CascadeClassifier, gray: cv2.typing.MatLike, step: float, neighbours: int
) -> Hits:
    """Boxes with at least so many neighbours; `step` is the ratio of neighbouring scales.

    Sorted: OpenCV's threads give them in any order.
    """
    side = max(20, round(min(gray.shape[:2]) * _MIN_SHARE))
    boxes, counts = cascade.detectMultiScale2(
        gray, scaleFactor=step, minNeighbors=neighbours, minSize=(side, side)
    )
    return [
        (np.array([x, y, x + w, y + h], np.float32), int(count))
        for (x, y, w, h), count in sorted(zip(map(tuple, boxes), counts, strict=True))
    ]


def _mirror(box_xyxy: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A box found in the mirrored picture."""
    left, top, right, bottom = box_xyxy
    return np.array([width - right, top, width - left, bottom], np.float32)


def merge(frontal: Hits, profile: Hits) -> list[Face]:
    """One face for each group of overlapping boxes, largest first.

    A frontal box stands before a profile one.
    """
    found = [*frontal, *profile]
    if not found:
        return []
    boxes = np.stack([box for box, _hits in found])
    hits = np.array([hits for _box, hits in found], np.float32)
    scores = hits / (hits + 10)
    ranks = scores + (np.arange(len(found)) < len(frontal))
    keep = best_of_overlapping(boxes, ranks.astype(np.float32), _OVERLAP)
    return largest_first(
        [
            Face(box_xyxy=_whole_face(boxes[i]), score=float(scores[i]))
            for i in keep
            if not _is_mistake(i, boxes, hits)
        ]
    )


def _is_mistake(index: int, boxes_xyxy: NDArray[np.float32], hits: NDArray[np.float32]) -> bool:
    """Whether a box reaches far around a smaller one that is far better supported.

    The cascades now and then take a head with its surroundings for one giant face. Nothing is lost
    by dropping that one: the face that contradicts it is covered.
    """
    low = np.maximum(boxes_xyxy[:, :2], boxes_xyxy[index, :2])
    high = np.minimum(boxes_xyxy[:, 2:], boxes_xyxy[index, 2:])
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(-1)
    engulfed = np.clip(high - low, 0, None).prod(-1) >= _ENGULFED * areas
    smaller = areas * _MUCH_LARGER <= areas[index]
    better = hits >= _MUCH_BETTER * hits[index]
    return bool((engulfed & smaller & better).any())


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
