"""Covers every face so that nobody can be recognised: blurred, pixelated or blacked out.

What is under the cover is replaced in full; nothing finer than an eighth of the face stays.
Not for: choosing faces. Every face that the detector found is covered, whatever the job selected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.paste import Box, WritablePicture, clip_box
from farm.processors.base import FaceFrame, ProcessorContext
from farm.settings import AnonymizeMethod, MaskShape

CELLS = 8
"""Cells across the longer side of a covered face: all that is left of it."""

_Cover = tuple[float, float, float, float]
"""Left, top, right, bottom of the padded face box; may reach over the border."""


class FaceAnonymizer:
    """Blurs, pixelates or blacks out every face."""

    name: ClassVar[str] = "face_anonymizer"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    concurrent: ClassVar[bool] = True
    fails_closed: ClassVar[bool] = True

    def __init__(self) -> None:
        self._method = AnonymizeMethod.BLUR
        self._shape = MaskShape.ELLIPSE
        self._padding = 0.3

    def check(self, context: ProcessorContext) -> None:
        """Its options were checked when the settings were made; it needs no model."""

    def start(self, context: ProcessorContext) -> None:
        """Take the method, the shape and the padding."""
        self._method = context.settings.anonymize_method
        self._shape = context.settings.anonymize_shape
        self._padding = context.settings.anonymize_padding

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Cover every face of every frame."""
        for item in batch:
            for face in item.faces:
                self._cover(item.frame, face)

    def _cover(self, frame: WritablePicture, face: Face) -> None:
        """Cover one face; where it lies outside the picture there is nothing to do."""
        cover = _padded(face, self._padding)
        whole = (*(math.floor(v) for v in cover[:2]), *(math.ceil(v) for v in cover[2:]))
        box = clip_box(frame, (whole[0], whole[1], whole[2], whole[3]))
        if box is None:
            return
        region, used = frame.read_bgr(box)
        side = max(cover[2] - cover[0], cover[3] - cover[1])
        frame.write_bgr(self._hidden(region, side), self._mask(used, cover), used)

    def _hidden(self, region_bgr: NDArray[np.uint8], side_px: float) -> NDArray[np.uint8]:
        """The region without anything by which a face of this size could be recognised."""
        if self._method is AnonymizeMethod.SOLID:
            return np.zeros_like(region_bgr)
        height, width = region_bgr.shape[:2]
        cell = max(1.0, side_px / CELLS)
        cells = (max(1, round(width / cell)), max(1, round(height / cell)))
        few = cv2.resize(region_bgr, cells, interpolation=cv2.INTER_AREA)
        back = cv2.INTER_NEAREST if self._method is AnonymizeMethod.PIXELATE else cv2.INTER_LINEAR
        return np.ascontiguousarray(cv2.resize(few, (width, height), interpolation=back), np.uint8)

    def _mask(self, used: Box, cover: _Cover) -> NDArray[np.float32]:
        """[h, w] of the region: 1 where it is covered, 0 elsewhere, nothing between."""
        left, top, right, bottom = used
        if self._shape is MaskShape.BOX:
            return np.ones((bottom - top, right - left), np.float32)
        centre = (cover[0] + cover[2]) / 2, (cover[1] + cover[3]) / 2
        half = max(1.0, (cover[2] - cover[0]) / 2), max(1.0, (cover[3] - cover[1]) / 2)
        x = (np.arange(left, right) + 0.5 - centre[0]) / half[0]
        y = (np.arange(top, bottom) + 0.5 - centre[1]) / half[1]
        return (np.add.outer(y * y, x * x) <= 1.0).astype(np.float32)


def _padded(face: Face, padding: float) -> _Cover:
    """The face box with `padding` of its size added on each side."""
    left, top, right, bottom = (float(v) for v in face.box_xyxy)
    more_x, more_y = padding * (right - left), padding * (bottom - top)
    return left - more_x, top - more_y, right + more_x, bottom + more_y
