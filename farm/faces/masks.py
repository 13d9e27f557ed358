"""Where in a crop its replacement shows: feathered shapes, and the target's own mouth left out.

All masks are [128, 128] float32, 0 to 1, over a crop of any size: they are smooth, and fine enough.
Not for: what covers the face, which a network finds (`farm.faces.parse`).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from farm.paste_settings import FaceMask

MASK_PX = 128
_EDGE = 0.02
"""Share of the crop over which even a mask without feather falls: the crop's border has no seam."""
_HALF_WIDE = 0.42
"""Half the width of the ellipse, as a share of the crop: faces are higher than they are wide."""
_SOFT_FROM = 0.6
"""Share of the mouth's ellipse that is kept in full."""


@functools.lru_cache(maxsize=32)
def shape_mask(shape: FaceMask, feather: float) -> NDArray[np.float32]:
    """1 inside, falling smoothly to 0 at the border over `feather` of the crop's side.

    A parsing model's mask is held within a box, as it may reach to the border.
    """
    places = (np.arange(MASK_PX) + 0.5) / MASK_PX
    width = max(feather, _EDGE)
    inside = np.minimum(places, 1 - places)
    if shape is FaceMask.ELLIPSE:
        from_centre = np.hypot.outer((places - 0.5) / 0.5, (places - 0.5) / _HALF_WIDE)
        mask = _smooth((1 - from_centre) * _HALF_WIDE / min(width, _HALF_WIDE))
    else:
        mask = np.outer(_smooth(inside / width), _smooth(inside / width))
    whole = np.ascontiguousarray(mask, np.float32)
    whole.setflags(write=False)
    return whole


def mouth_mask(landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
    """1 over the mouth of landmarks [5, 2], x and y as shares of the crop, falling to 0 around it.

    It reaches from between nose and lips to below a lower lip that hangs open, as far below the
    corners of the mouth as these lie below the nose.
    """
    landmarks_xy = landmarks * MASK_PX
    left, right, nose = landmarks_xy[3], landmarks_xy[4], landmarks_xy[2]
    middle = (left + right) / 2
    across, down = right - left, middle - nose
    wide, high = float(np.hypot(*across)), float(np.hypot(*down))
    if wide < 1e-3 or high < 1e-3:
        return np.zeros((MASK_PX, MASK_PX), np.float32)
    along = across / wide
    below = np.array([-along[1], along[0]])
    below = below if float(below @ down) >= 0 else -below
    rows, columns = np.indices((MASK_PX, MASK_PX), np.float64)
    centre = middle + below * 0.25 * high
    x, y = columns - centre[0], rows - centre[1]
    half_wide, half_high = 0.7 * wide, 0.75 * high
    distance = np.hypot(
        (x * along[0] + y * along[1]) / half_wide, (x * below[0] + y * below[1]) / half_high
    )
    return np.asarray(_smooth((1 - distance) / (1 - _SOFT_FROM)), np.float32)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, and a curve without corners between."""
    ramp = np.clip(values, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)
