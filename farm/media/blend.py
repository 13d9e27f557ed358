"""Masked replacement of samples in the planes of a frame.

Not for: colour (`farm.media.convert`) or the way from a picture to its planes (`farm.media.frame`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8] | NDArray[np.float32]
"""[h, w]: uint8 0..255 or float32 0..1."""
Pixels = NDArray[Any]
"""Pixels in their native type: uint8 or uint16."""
_Pick = Callable[[Pixels, Pixels], Any]


def mask_weights(mask: Mask) -> NDArray[np.float32]:
    """[h, w] float32 weights in 0..1; 255 of a uint8 mask is exactly 1.

    Raises:
        ValueError: The mask is neither uint8 nor float32.
    """
    if mask.dtype == np.uint8:
        return np.divide(mask, np.float32(255), dtype=np.float32)
    if mask.dtype != np.float32:
        raise ValueError(f"a mask is uint8 or float32, not {mask.dtype}")
    return np.clip(mask, np.float32(0), np.float32(1))


def blend(target: Pixels, new: Pixels, weights: NDArray[np.float32], shift: int) -> None:
    """Move the samples of `target`, in place, towards `new` by their weights.

    All are [h, w]. `target` may be any view; its samples carry `shift` unused low bits, those of
    `new` do not. Weight 0 keeps a sample bit for bit, weight 1 is exactly the new one.
    """
    rows_apart = target.strides[-1] == target.itemsize
    old = target if rows_apart else np.ascontiguousarray(target)
    if shift:
        new = new << np.uint16(shift)
    result: Pixels
    change = cv2.subtract(new, old, dtype=cv2.CV_32F)
    cv2.multiply(change, weights, dst=change)
    depth = cv2.CV_8U if old.dtype == np.uint8 else cv2.CV_16U
    result = cv2.add(old, change, dtype=depth)
    if shift:
        rounded: Pixels = cv2.add(result, np.full_like(old, 1 << (shift - 1)))
        result = np.where(weights > 0, rounded & np.uint16((0xFFFF << shift) & 0xFFFF), old)
    target[...] = result


def block_max(weights: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Greatest weight of each block of `grid` (columns, rows); [h, w] are multiples of it."""
    return _fold(weights, grid, cv2.max)


def block_mean(
    weights: NDArray[np.float32], grid: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Mean weight of each block of `grid`; the last of `size` blocks may reach over the border."""
    if grid == (1, 1):
        return weights
    below = size[1] * grid[1] - weights.shape[0]
    beside = size[0] * grid[0] - weights.shape[1]
    if below or beside:
        whole = cv2.copyMakeBorder(weights, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        weights = np.asarray(whole, np.float32)
    return np.asarray(cv2.resize(weights, size, interpolation=cv2.INTER_AREA), np.float32)


def block_samples(
    planes: list[Pixels], weights: NDArray[np.float32], grid: tuple[int, int]
) -> list[Pixels]:
    """Each plane's block averages.

    A block that is fully masked only in part averages just its fully masked pixels, so that
    nothing of the pixels beside them, nor of the chroma that these shared, comes back.
    """
    columns, rows = grid
    size = (weights.shape[1] // columns, weights.shape[0] // rows)
    means: list[Pixels] = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes]
    partly = (block_max(weights, grid) >= 1) & (_fold(weights, grid, cv2.min) < 1)
    y, x = np.nonzero(partly)
    if len(y):
        full = _blocks(weights, grid)[y, :, x, :] >= 1
        count = full.sum(axis=(1, 2))
        for plane, mean in zip(planes, means, strict=True):
            sums = (_blocks(plane, grid)[y, :, x, :] * full).sum(axis=(1, 2), dtype=np.int64)
            mean[y, x] = (sums + count // 2) // count
    return means


def _blocks(pixels: Pixels, grid: tuple[int, int]) -> Pixels:
    """[rows of blocks, rows in a block, columns of blocks, columns in a block]."""
    height, width = pixels.shape
    return pixels.reshape(height // grid[1], grid[1], width // grid[0], grid[0])


def _fold(weights: NDArray[np.float32], grid: tuple[int, int], pick: _Pick) -> NDArray[np.float32]:
    columns, rows = grid
    folded = weights[0::rows]
    for row in range(1, rows):
        folded = pick(folded, weights[row::rows])
    parts = [np.ascontiguousarray(folded[:, c::columns]) for c in range(columns)]
    folded = parts[0]
    for part in parts[1:]:
        folded = pick(folded, part)
    return folded
