"""How a stored picture is turned into the upright one that a player shows, and back.

The upright picture is the stored one, mirrored left to right where `flipped`, then turned
counter-clockwise by `rotation` degrees. Boxes are pixel edges (left, top, right, bottom), right and
bottom exclusive.
Not for: turning the pixels of the file; those stay as they are, only regions are turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
from numpy.typing import NDArray

Box = tuple[int, int, int, int]

_OFF_AXIS = 0.0175
"""Tangent of one degree: how far a matrix may be off a quarter turn, as players allow."""
_RIGHT_ANGLES = (0, 90, 180, 270)
_CV_ROTATION = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


def orientation_of(display_matrix: Sequence[int]) -> tuple[int, bool]:
    """Rotation (0, 90, 180, 270 counter-clockwise) and mirroring that a display matrix stands for.

    Takes the nine integers row by row, the first six in 16.16 fixed point. A matrix that is no
    quarter turn (skewed, zero, overflown, of another length) is `(0, False)`: shown as stored.
    Source: ISO/IEC 14496-12, 8.2.2 (the matrix of the track header box).
    """
    if len(display_matrix) != 9:
        return 0, False
    a, b, c, d = (int(display_matrix[i]) for i in (0, 1, 3, 4))
    if max(abs(v) for v in (a, b, c, d)) >= 2**31:
        return 0, False
    if abs(b) <= abs(a) * _OFF_AXIS and abs(c) <= abs(d) * _OFF_AXIS and a and d:
        flipped = (a < 0) != (d < 0)
        return (180 if d < 0 else 0), flipped
    if abs(a) <= abs(b) * _OFF_AXIS and abs(d) <= abs(c) * _OFF_AXIS and b and c:
        flipped = (b < 0) == (c < 0)
        return (90 if c > 0 else 270), flipped
    return 0, False


def orientation_notes(display_matrix: Sequence[int] | None) -> tuple[str, ...]:
    """What is to be said of a display matrix: that it is ignored where it makes no sense."""
    if display_matrix is None or orientation_of(display_matrix) != (0, False):
        return ()
    a, b, c, d = (int(display_matrix[i]) for i in (0, 1, 3, 4))
    if a == d and a > 0 and not b and not c:
        return ()
    return ("the file's rotation is no quarter turn: it is ignored, pictures are taken as stored",)


def check_rotation(rotation: int) -> int:
    """The same rotation as one of 0, 90, 180, 270.

    Raises:
        ValueError: It is no multiple of 90.
    """
    turned = rotation % 360
    if turned not in _RIGHT_ANGLES:
        raise ValueError(f"rotation {rotation} is no multiple of 90 degrees")
    return turned


def upright_size(width: int, height: int, rotation: int) -> tuple[int, int]:
    """Width and height of the upright picture for those of the stored one."""
    return (height, width) if rotation in (90, 270) else (width, height)


def turn_upright(pixels: NDArray[Any], rotation: int, flipped: bool) -> NDArray[Any]:
    """Stored [h, w] or [h, w, c] pixels as a player shows them; as given where nothing turns."""
    if flipped:
        pixels = cv2.flip(pixels, 1)
    return cv2.rotate(pixels, _CV_ROTATION[rotation]) if rotation else pixels


def turn_stored(pixels: NDArray[Any], rotation: int, flipped: bool) -> NDArray[Any]:
    """The inverse of `turn_upright`."""
    if rotation:
        pixels = cv2.rotate(pixels, _CV_ROTATION[360 - rotation])
    return cv2.flip(pixels, 1) if flipped else pixels


def box_to_stored(box_xyxy: Box, width: int, height: int, rotation: int, flipped: bool) -> Box:
    """Box of the upright picture as a box of the stored one, which is `width` by `height`."""
    left, top, right, bottom = box_xyxy
    if rotation == 90:
        left, top, right, bottom = width - bottom, left, width - top, right
    elif rotation == 180:
        left, top, right, bottom = width - right, height - bottom, width - left, height - top
    elif rotation == 270:
        left, top, right, bottom = top, height - right, bottom, height - left
    return (width - right, top, width - left, bottom) if flipped else (left, top, right, bottom)


def box_to_upright(box_xyxy: Box, width: int, height: int, rotation: int, flipped: bool) -> Box:
    """The inverse of `box_to_stored`; `width` and `height` are those of the stored picture."""
    left, top, right, bottom = box_xyxy
    if flipped:
        left, right = width - right, width - left
    if rotation == 90:
        return top, width - right, bottom, width - left
    if rotation == 180:
        return width - right, height - bottom, width - left, height - top
    if rotation == 270:
        return height - bottom, left, height - top, right
    return left, top, right, bottom
