"""Aligned crops of a whole batch of frames through one network, and the results back in place.

Not for: what the network means (`face_swapper`, `face_enhancer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.paste import Crop, paste_crop, take_crop
from farm.models.session import MAX_BATCH
from farm.processors.base import FaceFrame

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""[n, 3, size, size] RGB in the network's range to the same."""


def replace_faces(
    batch: Sequence[FaceFrame],
    template_xy: NDArray[np.float64],
    size_px: int,
    replace: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    *,
    weight: float = 1.0,
) -> None:
    """Replace the selected faces of every frame.

    All crops of a frame are taken before the first is pasted, so that how frames are batched
    changes no pixel. Faces without usable landmarks stay as they are.

    Args:
        batch: The frames.
        template_xy: [5, 2] landmark places in the crop.
        size_px: Side of the crop.
        replace: Gives [n, size, size, 3] uint8 BGR for [n, size, size, 3] uint8 BGR.
        weight: How much of the replacement shows, 0 to 1.
    """
    places: list[tuple[FaceFrame, Crop]] = []
    for item in batch:
        for face in item.selected:
            has_landmarks = face.landmarks_xy is not None
            crop = take_crop(item.frame, face, template_xy, size_px) if has_landmarks else None
            if crop is not None:
                places.append((item, crop))
    for first in range(0, len(places), MAX_BATCH):
        part = places[first : first + MAX_BATCH]
        new = replace(np.stack([crop.pixels_bgr for _item, crop in part]))
        for (item, crop), pixels in zip(part, new, strict=True):
            paste_crop(item.frame, crop, pixels, weight)


def to_network(pixels_bgr: NDArray[np.uint8], mean: float, divisor: float) -> NDArray[np.float32]:
    """[n, 3, h, w] float32 RGB, (value - mean) / divisor, of [n, h, w, 3] uint8 BGR."""
    rgb = pixels_bgr[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray((rgb - np.float32(mean)) / np.float32(divisor))


def from_network(
    rgb: NDArray[np.float32], mean: float, divisor: float, name: str
) -> NDArray[np.uint8]:
    """[n, h, w, 3] uint8 BGR of what a network gave; undoes `to_network`.

    Raises:
        ModelError: The network gave values that are not finite.
    """
    if not np.isfinite(rgb).all():
        raise ModelError(
            f"{name}: its network gave values that are no numbers: try --execution-provider cpu, "
            "or another model file"
        )
    values = np.clip(np.rint(rgb * divisor + mean), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)[..., ::-1])


def in_parts(
    network: Network, crops: NDArray[np.float32], *, one_by_one: bool
) -> NDArray[np.float32]:
    """Run a network on a batch, one by one where its graph takes one only."""
    if not one_by_one:
        return network(crops)
    return np.concatenate([network(crops[i : i + 1]) for i in range(len(crops))])
