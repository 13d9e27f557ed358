"""Pictures on the canvas that a detection network takes, and its boxes without doubles.

Not for: what the network's outputs mean (`farm.faces.scrfd`, `farm.faces.yunet`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.face import Face

GRID_PX = 32
"""The largest stride of the detectors; canvas sides are multiples of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Everything that one network found in one picture, in pixels of the canvas."""

    boxes_xyxy: NDArray[np.float32]
    """[n, 4]."""
    scores: NDArray[np.float32]
    """[n], 0 to 1."""
    landmarks_xy: NDArray[np.float32]
    """[n, 5, 2]."""


def canvas_size(width: int, height: int, side_px: int) -> tuple[int, int]:
    """Width and height of the smallest canvas for a picture scaled down to `side_px`."""
    scaled = _scaled_size(width, height, (side_px, side_px))
    wide, high = (-(-side // GRID_PX) * GRID_PX for side in scaled)
    return wide, high


def place(picture_bgr: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in the upper left corner of a black canvas, scaled down to fit, never up."""
    height, width = picture_bgr.shape[:2]
    wide, high = _scaled_size(width, height, size)
    if (wide, high) != (width, height):
        picture_bgr = np.asarray(
            cv2.resize(picture_bgr, (wide, high), interpolation=cv2.INTER_AREA), np.uint8
        )
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[:high, :wide] = picture_bgr
    return canvas


def to_faces(
    found: Candidates, picture_size: tuple[int, int], size: tuple[int, int], overlap: float
) -> list[Face]:
    """Faces in pixels of the picture, doubles removed, largest first.

    Raises:
        ModelError: A box or a landmark is nowhere.
    """
    if not (np.isfinite(found.boxes_xyxy).all() and np.isfinite(found.landmarks_xy).all()):
        raise ModelError("the detector gave a face without a place: take another model file")
    wide, high = _scaled_size(*picture_size, size)
    ratio = np.array([picture_size[0] / wide, picture_size[1] / high], np.float32)
    keep = best_of_overlapping(found.boxes_xyxy, found.scores, overlap)
    faces = [
        Face(
            box_xyxy=found.boxes_xyxy[i] * np.tile(ratio, 2),
            score=float(found.scores[i]),
            landmarks_xy=found.landmarks_xy[i] * ratio,
        )
        for i in keep
    ]
    return largest_first(faces)


def largest_first(faces: list[Face]) -> list[Face]:
    """Faces by falling area; equal ones from left to right, so that the order never varies."""
    return sorted(faces, key=lambda f: (-f.area_px, float(f.box_xyxy[0]), float(f.box_xyxy[1])))


def best_of_overlapping(
    boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32], overlap: float
) -> list[int]:
    """Indices of boxes that no better box covers by more than `overlap` of their union."""
    order = [int(i) for i in np.argsort(-scores, kind="stable")]
    keep: list[int] = []
    for i in order:
        if not keep or float(shares(boxes_xyxy[i], boxes_xyxy[keep]).max()) <= overlap:
            keep.append(i)
    return keep


def shares(box_xyxy: NDArray[np.float32], others_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] intersection over union of one box with others [n, 4]."""
    low = np.maximum(box_xyxy[:2], others_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], others_xyxy[:, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = np.clip(others_xyxy[:, 2:] - others_xyxy[:, :2], 0, None).prod(-1)
    area = np.clip(box_xyxy[2:] - box_xyxy[:2], 0, None).prod()
    union = np.maximum(areas + area - common, 1e-6)
    return np.asarray(common / union, np.float32)


def _scaled_size(width: int, height: int, size: tuple[int, int]) -> tuple[int, int]:
    """Size of the picture scaled down, never up, to fit into `size`."""
    ratio = min(1.0, size[0] / width, size[1] / height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))
