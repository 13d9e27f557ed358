"""A picture through something that wants sizes of its own: padded, and in tiles where it is large.

Tiles overlap and are faded into each other. How a picture is divided depends on its size alone.
Not for: what is done to a tile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""[h, w, channels]."""
_MOST_PX = 2560 * 1472
"""A picture of up to so many pixels goes through in one piece."""
_TILE_PX = 1024
_OVERLAP_PX = 128


def tiled(
    picture: Picture,
    work: Callable[[Picture], Picture],
    multiple: int,
    fixed: tuple[int, int] | None = None,
    most_px: int = _MOST_PX,
) -> Picture:
    """Run `work` over a picture.

    Args:
        picture: Of any size.
        work: Gives a picture of the same size, perhaps with other channels.
        multiple: Sides of what it takes are multiples of this.
        fixed: Height and width of what it takes, None for any.
        most_px: Pixels that it takes at once.
    """
    height, width = picture.shape[:2]
    size = fixed or _tile_size(height, width, multiple, most_px)
    rows, columns = _starts(height, size[0]), _starts(width, size[1])
    if len(rows) == len(columns) == 1:
        return work(_padded(picture, size))[:height, :width]
    total: Picture | None = None
    weights = np.zeros((height, width, 1), np.float32)
    fade = _fade(size)
    for top in rows:
        for left in columns:
            part = picture[top : top + size[0], left : left + size[1]]
            high, wide = part.shape[:2]
            done = work(_padded(part, size))[:high, :wide]
            if total is None:
                total = np.zeros((height, width, done.shape[2]), np.float32)
            total[top : top + high, left : left + wide] += done * fade[:high, :wide]
            weights[top : top + high, left : left + wide] += fade[:high, :wide]
    assert total is not None
    return total / weights


def _tile_size(height: int, width: int, multiple: int, most_px: int) -> tuple[int, int]:
    """Height and width of tiles: the whole picture where it is not too large."""
    whole = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
    if whole[0] * whole[1] <= most_px:
        return whole
    side = max(2 * _OVERLAP_PX, _TILE_PX) // multiple * multiple
    return min(side, whole[0]), min(side, whole[1])


def _starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side, evenly, so that neighbours overlap."""
    if length <= tile:
        return [0]
    overlap = min(_OVERLAP_PX, tile // 4)
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def _padded(part: Picture, size: tuple[int, int]) -> Picture:
    """The part with its last row and column repeated up to a size."""
    more = (size[0] - part.shape[0], size[1] - part.shape[1])
    if not any(more):
        return np.ascontiguousarray(part)
    edges = ((0, more[0]), (0, more[1]), (0, 0))
    return np.pad(part, edges, mode="edge")


def _fade(size: tuple[int, int]) -> Picture:
    """[h, w, 1] weights that fall off towards the borders of a tile."""
    ramps = []
    for side in size:
        near = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1.0
        ramps.append(np.minimum(near / min(_OVERLAP_PX, side // 4), 1.0))
    return np.outer(*ramps).astype(np.float32)[..., None]
