"""The face record that detectors make and processors read.

Not for: finding faces (`farm.faces.detect`) or deciding whose they are (`farm.faces.select`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One detected face, in pixels of the upright picture (as a player shows it)."""

    box_xyxy: NDArray[np.float32]
    """[4]: left, top, right, bottom; may reach over the border of the picture."""
    score: float
    """Detector confidence, 0 to 1."""
    landmarks_xy: NDArray[np.float32] | None = None
    """[5, 2]: eyes, nose, corners of the mouth; of each pair the left one in the picture first."""
    embedding: NDArray[np.float32] | None = None
    """[512], unit length; None until recognition has run."""
    track: int | None = None
    """Number of its track in the job's face table; None without a table."""
    filled: bool = False
    """Whether nobody saw it in this picture: it was put in between two sights."""
    source: int = 0
    """Whose face goes onto it: a place among the job's sources."""

    @property
    def area_px(self) -> float:
        """Area of the box, in square pixels."""
        left, top, right, bottom = (float(v) for v in self.box_xyxy)
        return max(0.0, right - left) * max(0.0, bottom - top)
