"""Frames that carry their own number, so that every cut, order and join can be checked.

The top third holds ten cells with the bits of the number and, below each, its complement: reading
compares the two, which survives lossy encoders, every bit depth and every range.
Not for: pictures with faces.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

BITS = 10
_TOP_PARTS = 6
"""Each of the two rows of cells is a sixth of the picture high."""


def stamped_picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Picture [h, w, 3] RGB that carries `number`, 0..1023, over a texture that moves with it."""
    texture = np.random.default_rng(0).integers(70, 150, (height // 4 + 1, width // 4 + 1, 3))
    blocks = np.kron(texture, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)
    picture = np.roll(blocks, (number, 2 * number), axis=(0, 1))
    row = height // _TOP_PARTS
    for bit in range(BITS):
        cell = slice(bit * width // BITS, (bit + 1) * width // BITS)
        value = 255 * (number >> bit & 1)
        picture[:row, cell] = value
        picture[row : 2 * row, cell] = 255 - value
    return picture


def read_stamp(frame: av.VideoFrame) -> int:
    """Number that a stored (not turned) frame carries."""
    return read_stamp_gray(np.asarray(frame.to_ndarray(format="gray"), np.uint8))


def read_stamp_gray(gray: NDArray[np.uint8]) -> int:
    """Number that a picture [h, w] of brightness carries.

    Raises:
        ValueError: A cell and its complement look the same; the frame carries no stamp.
    """
    height, width = gray.shape
    row, number = height // _TOP_PARTS, 0
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        inner = slice(left + (right - left) // 4, right - (right - left) // 4)
        upper = float(gray[row // 4 : row - row // 4, inner].mean())
        lower = float(gray[row + row // 4 : 2 * row - row // 4, inner].mean())
        if abs(upper - lower) < 60:
            raise ValueError(f"bit {bit} cannot be read: {upper:.0f} against {lower:.0f}")
        number |= int(upper > lower) << bit
    return number
