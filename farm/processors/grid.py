"""Crops finer than a network takes: cut into interleaved parts, and put together again.

Each part holds every n-th pixel of every n-th row, so that all show the whole face.
Not for: running the network (`farm.processors.face_swapper`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.paste_settings import SwapSize

Mix = tuple[tuple[int, float], ...]
"""How many parts a side is cut into, and the weight of that result; the weights add up to 1."""
_STEPS = ((1, 2, 160.0, 224.0), (2, 4, 320.0, 448.0))
"""Parts below and above, and the sides of a face's crop in the picture between which they mix."""


def split(crop: NDArray[Any], parts: int) -> NDArray[Any]:
    """[parts * parts, s, s, 3] of a crop [parts * s, parts * s, 3]."""
    side = crop.shape[0] // parts
    cells = crop.reshape(side, parts, side, parts, 3)
    return cells.transpose(1, 3, 0, 2, 4).reshape(parts * parts, side, side, 3)


def join(tiles: NDArray[Any], parts: int) -> NDArray[Any]:
    """The crop that `split` made these tiles of."""
    side = tiles.shape[1]
    cells = tiles.reshape(parts, parts, side, side, 3).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(cells.reshape(parts * side, parts * side, 3))


def mix_for(size: SwapSize, network_px: int, side_px: float) -> Mix:
    """The results that a face is mixed of.

    By itself (`auto`) the mix changes smoothly with the size of the face: a face that grows must
    not jump from one look to another.

    Args:
        size: What was asked for.
        network_px: Side of the picture that the network takes.
        side_px: Side of the face's crop in the picture.
    """
    if size is not SwapSize.AUTO:
        return ((max(1, int(size) // network_px), 1.0),)
    ratio = 128 / network_px
    for below, above, low, high in _STEPS:
        if side_px * ratio <= low:
            return ((below, 1.0),)
        if side_px * ratio < high:
            share = (side_px * ratio - low) / (high - low)
            return ((below, 1 - share), (above, share))
    return ((_STEPS[-1][1], 1.0),)


def tiles_of(pixels_bgr: NDArray[np.uint8], mix: Mix, network_px: int) -> list[NDArray[np.uint8]]:
    """What the network is to be given for a crop: the tiles of each result of its mix."""
    return [split(_sized(pixels_bgr, parts * network_px), parts) for parts, _weight in mix]


def put_together(
    results: Sequence[NDArray[np.float32]], mix: Mix, size_px: int
) -> NDArray[np.float32]:
    """The picture of `size_px` that the network's tiles for each result of a mix make."""
    whole = np.zeros((size_px, size_px, 3), np.float32)
    for tiles, (parts, weight) in zip(results, mix, strict=True):
        whole += _sized(join(tiles, parts), size_px) * np.float32(weight)
    return whole


def _sized(pixels: NDArray[Any], size_px: int) -> NDArray[Any]:
    """The crop at another size."""
    if pixels.shape[0] == size_px:
        return pixels
    way = cv2.INTER_AREA if size_px < pixels.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (size_px, size_px), interpolation=way))
