"""What is done to a replacement before it is pasted: colours matched, edges sharpened.

Not for: masks (`farm.faces.masks`) or pasting (`farm.faces.paste`).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.convert import BgrPixels

_SIDE_PX = 128
_ENOUGH = 1.0
"""Least sum of a mask's weights that says something of the colours under it."""
_MAX_GAIN = 2.0
"""A flat replacement is not blown up to the contrast of the target's noise."""


def match_colours(
    new_bgr: NDArray[np.float32], old_bgr: BgrPixels, mask: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The replacement with the mean and spread of the old crop's colours under the mask.

    Both are [size, size, 3], 0..255, the mask covers them at any size. The work is done in CIE Lab,
    where equal steps look equal, on at most 128 pixels a side: what it changes is smooth, and finer
    detail stays as the network gave it.
    Source: Reinhard et al., Color transfer between images, 2001 (there in another space).
    """
    side = min(_SIDE_PX, new_bgr.shape[0])
    weights = _sized(mask, side)
    weight = float(weights.sum())
    if weight < _ENOUGH:
        return new_bgr
    small = _sized(new_bgr, side)
    new, old = _to_lab(small), _to_lab(_sized(old_bgr, side))
    new_mean, new_spread = _moments(new, weights, weight)
    old_mean, old_spread = _moments(old, weights, weight)
    gain = np.clip(old_spread / np.maximum(new_spread, 1e-3), 1 / _MAX_GAIN, _MAX_GAIN)
    matched = ((new - new_mean) * gain + old_mean).astype(np.float32)
    change = cv2.cvtColor(matched, cv2.COLOR_Lab2BGR) * np.float32(255) - small
    return np.asarray(np.clip(new_bgr + _sized(change, new_bgr.shape[0]), 0, 255), np.float32)


def sharpen(pixels_bgr: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """Fine detail of [h, w, 3] pixels, 0..255, enlarged by `amount`; 0 changes nothing."""
    if amount <= 0:
        return pixels_bgr
    soft = cv2.GaussianBlur(pixels_bgr, (0, 0), max(1.0, pixels_bgr.shape[0] / 128))
    sharp = cv2.addWeighted(pixels_bgr, 1 + amount, soft, -amount, 0)
    return np.asarray(np.clip(sharp, 0, 255), np.float32)


def _sized(pixels: NDArray[Any], side_px: int) -> NDArray[np.float32]:
    """A square picture or mask at another size."""
    if pixels.shape[0] == side_px:
        return np.asarray(pixels, np.float32)
    way = cv2.INTER_AREA if side_px < pixels.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side_px, side_px), interpolation=way), np.float32)


def _to_lab(bgr: BgrPixels) -> NDArray[np.float32]:
    scaled = np.asarray(bgr, np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2Lab), np.float32)


def _moments(
    lab: NDArray[np.float32], mask: NDArray[np.float32], weight: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel under the mask."""
    flat, weights = lab.reshape(-1, 3).astype(np.float64), mask.reshape(-1).astype(np.float64)
    mean = weights @ flat / weight
    return mean, np.sqrt(weights @ (flat - mean) ** 2 / weight)
