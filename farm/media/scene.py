"""Whether two neighbouring frames belong to different shots.

Looks at the two pictures alone, so that it says the same in every chunk. Not for: finding all shots
of a video.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SMALL = (48, 27)
_BINS = 32
_ALWAYS = 0.2
"""Mean difference of small pictures from which it is a cut; the whole range is 1."""
_PERHAPS = 0.08
_OTHER_LEVELS = 0.5
"""Share of pixels that must change their level of brightness where the difference is smaller."""


def is_cut(first_rgb: NDArray[np.float32], second_rgb: NDArray[np.float32]) -> bool:
    """Tell whether a cut lies between two pictures, [h, w, 3] of 0 to 1."""
    one, two = _small(first_rgb), _small(second_rgb)
    apart = float(np.abs(one - two).mean())
    if apart >= _ALWAYS:
        return True
    levels = [np.histogram(each, _BINS, (0, 1))[0] / each.size for each in (one, two)]
    return apart >= _PERHAPS and float(np.abs(levels[0] - levels[1]).sum()) / 2 >= _OTHER_LEVELS


def _small(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """The brightness of a picture, some tens of pixels wide."""
    gray = cv2.cvtColor(cv2.resize(rgb, _SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.clip(np.asarray(gray, np.float32), 0, 1)
