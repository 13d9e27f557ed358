"""Draws what the farm sees: boxes, landmarks, numbers of tracks and scores of every face.

Each stroke is written by itself in the frame's own format, so a frame costs what its strokes cost.
What is drawn depends on the frame alone. Not for: hiding anything.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.paste import Box, WritablePicture, clip_box
from farm.processors.base import FaceFrame, ProcessorContext

Color = tuple[int, int, int]
"""Blue, green, red."""
_SELECTED: Color = (80, 220, 60)
_OTHER: Color = (60, 160, 255)
_GOLDEN = 0.618034
"""Turn of the colour wheel from one track to the next: neighbouring numbers look different."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FAR_PX = 1 << 20
"""Faces further out than this are nowhere."""


class DebugOverlay:
    """Draws over every face; those that the job works on get a box of double weight."""

    name: ClassVar[str] = "debug_overlay"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    fails_closed: ClassVar[bool] = False

    def check(self, context: ProcessorContext) -> None:
        """Nothing can be missing."""

    def start(self, context: ProcessorContext) -> None:
        """Nothing is loaded."""

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Draw over every face of every frame, the largest last so that it lies on top."""
        for item in batch:
            places = [face.box_xyxy.tobytes() for face in item.selected]
            for face in reversed(item.faces):
                _draw_face(item.frame, face, face.box_xyxy.tobytes() in places)


def _draw_face(picture: WritablePicture, face: Face, selected: bool) -> None:
    """Draw one face, in strokes that grow with the picture."""
    if not (np.abs(face.box_xyxy) < _FAR_PX).all():
        return
    unit = max(1, round(max(picture.width, picture.height) / 960))
    color = _color(face, selected)
    left, top, right, bottom = (round(float(v)) for v in face.box_xyxy)
    _draw_frame(picture, (left, top, right, bottom), unit * (2 if selected else 1), color)
    points = np.empty((0, 2)) if face.landmarks_xy is None else face.landmarks_xy
    for x, y in points.tolist():
        if max(abs(x), abs(y)) < _FAR_PX:
            _draw_dot(picture, round(x), round(y), 2 * unit, color)
    _draw_label(picture, label_of(face), (left, top), unit, color)


def label_of(face: Face) -> str:
    """What is written at a face: the number of its track where it has one, and its score."""
    track = "" if face.track is None else f"#{face.track} "
    return f"{track}{face.score:.2f}"


def _color(face: Face, selected: bool) -> Color:
    """The colour of a track, or one of two where there are none."""
    if face.track is None:
        return _SELECTED if selected else _OTHER
    red, green, blue = colorsys.hsv_to_rgb(face.track * _GOLDEN % 1, 0.75, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def _draw_frame(picture: WritablePicture, box: Box, weight: int, color: Color) -> None:
    """Draw the outline of a box, within it."""
    left, top, right, bottom = box
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    weight = min(weight, right - left, bottom - top)
    for strip in (
        (left, top, right, top + weight),
        (left, bottom - weight, right, bottom),
        (left, top, left + weight, bottom),
        (right - weight, top, right, bottom),
    ):
        inside = clip_box(picture, strip)
        if inside is not None:
            size = (inside[3] - inside[1], inside[2] - inside[0])
            picture.write_bgr(_plain(size, color), np.ones(size, np.float32), inside)


def _draw_dot(picture: WritablePicture, x: int, y: int, radius: int, color: Color) -> None:
    side = 2 * radius + 1
    mask = np.zeros((side, side), np.float32)
    cv2.circle(mask, (radius, radius), radius, (1.0,), -1)
    box = (x - radius, y - radius, x + radius + 1, y + radius + 1)
    picture.write_bgr(_plain((side, side), color), mask, box)


def _draw_label(
    picture: WritablePicture, text: str, corner: tuple[int, int], unit: int, color: Color
) -> None:
    """Write on a dark ground above the corner of a box, inside the picture where that is there."""
    scale, margin = 0.5 * unit, 2 * unit
    (wide, high), below = cv2.getTextSize(text, _FONT, scale, unit)
    width, height = wide + 2 * margin, high + below + 2 * margin
    left = min(max(corner[0], 0), max(picture.width - width, 0))
    top = min(max(corner[1] - height, 0), max(picture.height - height, 0))
    ground = _plain((height, width), (0, 0, 0))
    at = (margin, margin + high)
    cv2.putText(ground, text, at, _FONT, scale, color, unit, cv2.LINE_AA)
    mask = np.full((height, width), 0.7, np.float32)
    mask[ground.any(axis=2)] = 1
    picture.write_bgr(ground, mask, (left, top, left + width, top + height))


def _plain(size: tuple[int, int], color: Color) -> NDArray[np.uint8]:
    """[h, w, 3] of one colour."""
    return np.full((*size, 3), color, np.uint8)
