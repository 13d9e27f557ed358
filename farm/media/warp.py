"""Pixels along an affine transform, without skipping any: small ones from large, and back.

Whole numbers are the centres of pixels. A matrix is [2, 3], from the pixels that there are to the
pixels that are wanted.
Not for: pixel formats (`farm.media.frame`) or where a face lies (`farm.faces.align`).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.orientation import Box, upright_size

Matrix = NDArray[np.float64]
Pixels = NDArray[Any]


def then(first: Matrix, second: Matrix) -> Matrix:
    """The matrix that does what `first` does and then what `second` does."""
    both = second[:, :2] @ first
    both[:, 2] += second[:, 2]
    return both


def inverse(matrix: Matrix) -> Matrix:
    """The matrix that undoes another."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def resized(ratio_x: float, ratio_y: float) -> Matrix:
    """From pixels of a picture to those of the same picture enlarged by these ratios."""
    return np.array(
        [[ratio_x, 0.0, (ratio_x - 1) / 2], [0.0, ratio_y, (ratio_y - 1) / 2]], np.float64
    )


def moved_origin(left: float, top: float) -> Matrix:
    """From pixels of a picture to those of its part that begins at (left, top)."""
    return np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]], np.float64)


def stored_to_upright(width: int, height: int, rotation: int, flipped: bool) -> Matrix:
    """From pixels of the stored picture, `width` by `height`, to those of the upright one."""
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]]) if flipped else np.eye(2, 3)
    last_x, last_y = (side - 1 for side in upright_size(width, height, rotation))
    turns = {
        0: np.eye(2, 3),
        90: np.array([[0.0, 1, 0], [-1, 0, last_y]]),
        180: np.array([[-1.0, 0, last_x], [0, -1, last_y]]),
        270: np.array([[0.0, -1, last_x], [1, 0, 0]]),
    }
    return then(mirror, turns[rotation])


def target_box(matrix: Matrix, box: Box) -> Box:
    """Smallest box of wanted pixels that the pixels of a box have a part in.

    It has a margin for interpolation and may reach over the border.
    """
    corners = np.array([[x - 0.5, y - 0.5] for x in box[::2] for y in box[1::2]])
    places = corners @ matrix[:, :2].T + matrix[:, 2]
    margin = math.ceil(scale_of(matrix)) + 1
    left, top = np.floor(places.min(0)).astype(int) - margin
    right, bottom = np.ceil(places.max(0)).astype(int) + 1 + margin
    return int(left), int(top), int(right), int(bottom)


def warp(
    pixels: Pixels, matrix: Matrix, size: tuple[int, int], border: float | None = None
) -> Pixels:
    """The wanted picture of `size` (width, height), in the type of `pixels`, [h, w] or [h, w, c].

    What becomes much smaller is averaged first: interpolation alone would skip pixels, and a face
    that moves would flicker. Outside lies `border`, or the nearest pixel where it is None.
    """
    return sample(*averaged(pixels, matrix), size, border)


def averaged(pixels: Pixels, matrix: Matrix) -> tuple[Pixels, Matrix]:
    """The pixels so far averaged down that interpolation skips none, and the matrix for them."""
    scale = scale_of(matrix)
    shrink = int(1 / scale) if scale > 0 else 1
    if shrink < 2:
        return pixels, matrix
    # Whole cells are several times faster; what is left over lies in the margin.
    small = (max(1, pixels.shape[1] // shrink), max(1, pixels.shape[0] // shrink))
    pixels = pixels[: small[1] * shrink, : small[0] * shrink]
    ratio_x, ratio_y = pixels.shape[1] / small[0], pixels.shape[0] / small[1]
    few: Pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return few, then(resized(ratio_x, ratio_y), matrix)


def sample(
    pixels: Pixels, matrix: Matrix, size: tuple[int, int], border: float | None = None
) -> Pixels:
    """The wanted picture by interpolation between the four nearest pixels; see `warp`."""
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    outside = (border or 0.0,) * 3
    flags = cv2.INTER_LINEAR
    return cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=mode, borderValue=outside)


def scale_of(matrix: Matrix) -> float:
    """How many wanted pixels one pixel becomes, along a side."""
    (a, b), (c, d) = matrix[:, :2].tolist()
    return math.sqrt(abs(a * d - b * c))
