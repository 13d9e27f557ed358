"""What of a crop is face and what lies before it, by a face parsing network.

The networks are BiSeNet's kin, trained on the 19 classes of CelebAMask-HQ.
Not for: masks that need no network (`farm.faces.masks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.align import ffhq_template
from farm.faces.face import Face
from farm.faces.masks import MASK_PX
from farm.faces.paste import Crop, ReadablePicture, take_crop
from farm.media.warp import Matrix, inverse, resized, then, warp
from farm.models.picture_input import square_side_px

CLASSES = 19
_FACE = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)
"""Skin, brows, eyes, glasses, nose, inner mouth, lips. Source: the labels of CelebAMask-HQ."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32) * 255
"""Of R, G, B; source: ImageNet's, with which the published weights were trained."""
_SOFT_PX = 2.0
_SURE = 2.0
"""Difference of two classes' outputs from which a pixel counts as decided."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisibleFace:
    """What of a face is to be seen, for any crop of it."""

    seen: NDArray[np.float32] | None
    """[h, w] 1 where the face is to be seen, 0 to 1; None where it lies outside the picture."""
    matrix: Matrix
    """[2, 3] from pixels of the upright picture to those of `seen`."""

    def over(self, crop: Crop) -> NDArray[np.float32]:
        """[128, 128] float32 over a crop of the same picture."""
        if self.seen is None:
            return np.zeros((MASK_PX, MASK_PX), np.float32)
        shrink = MASK_PX / crop.size_px
        to_mask = then(crop.matrix, resized(shrink, shrink))
        moved = warp(self.seen, then(inverse(self.matrix), to_mask), (MASK_PX, MASK_PX))
        return np.asarray(moved, np.float32)


class FaceParser:
    """Finds the visible face in crops."""

    def __init__(self, session: Any, name: str) -> None:
        """Take a session of the model, which stays the caller's.

        Raises:
            ModelError: It is no face parsing network.
        """
        taken, given = session.get_inputs(), session.get_outputs()
        self._size_px = check_parser([list(each.shape) for each in taken], name)
        check_classes([list(each.shape) for each in given], name)
        self._session, self._input, self._name = session, taken[0].name, name

    def look(self, picture: ReadablePicture, face: Face) -> VisibleFace:
        """What is to be seen of a face of the picture.

        The network looks at a crop of its own, aligned as in its training.

        Raises:
            ModelError: The network gave something else than classes.
        """
        own = take_crop(picture, face, ffhq_template(self._size_px), self._size_px)
        if own is None:
            return VisibleFace(seen=None, matrix=resized(1, 1))
        seen = visible(self._run(own.pixels_bgr), self._name)
        shrink = seen.shape[0] / self._size_px
        return VisibleFace(seen=seen, matrix=then(own.matrix, resized(shrink, shrink)))

    def _run(self, crop_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[classes, h, w] as the network gives them."""
        rgb = (crop_bgr[..., ::-1].astype(np.float32) - _MEAN) / _SPREAD
        blob = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32)
        return np.asarray(self._session.run(None, {self._input: blob})[0][0], np.float32)


def visible(outputs: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """[h, w] float32, 0 to 1: the face without what covers it, its edge drawn in and softened.

    It is at most about 128 pixels high; the networks decide on a grid of 64.

    Args:
        outputs: [19, h, w], the classes' values.
        name: The model's, for errors.

    Raises:
        ModelError: The values are no numbers, or not of 19 classes.
    """
    if outputs.ndim != 3 or len(outputs) != CLASSES or not np.isfinite(outputs).all():
        raise ModelError(f"{name}: gave no {CLASSES} classes of numbers: take another model file")
    step = max(1, outputs.shape[1] // MASK_PX)
    few = outputs[:, step // 2 :: step, step // 2 :: step]
    others = [i for i in range(CLASSES) if i not in _FACE]
    lead = few[list(_FACE)].max(0) - few[others].max(0)
    sure = np.clip(lead / (2 * _SURE) + 0.5, 0, 1).astype(np.float32)
    soft = cv2.GaussianBlur(sure, (0, 0), _SOFT_PX * few.shape[1] / MASK_PX)
    return np.asarray(np.clip((soft - 0.5) * 2, 0, 1), np.float32)


def check_parser(shapes: Sequence[Sequence[object]], name: str) -> int:
    """Side of the picture that a parser of these input shapes takes.

    Raises:
        ModelError: It does not take one square RGB picture.
    """
    wanted = (
        "a face parser takes one square RGB picture: give bisenet_resnet_34.onnx with "
        "--model parser=PATH"
    )
    return square_side_px(shapes, name, wanted, 512)


def check_classes(shapes: Sequence[Sequence[object]], name: str) -> None:
    """Refuse a network whose outputs, of these shapes, are not the classes of a face parser.

    Raises:
        ModelError: It tells other classes.
    """
    first = shapes[0] if shapes else ()
    classes = first[1] if len(first) == 4 else None
    if isinstance(classes, int) and classes != CLASSES:
        raise ModelError(f"{name}: tells {classes} classes where a face parser has {CLASSES}")
