"""What the two detection networks share: canvases in, outputs by stride, one or many at once.

Not for: the meaning of the outputs (`farm.faces.scrfd`, `farm.faces.yunet`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.canvas import Candidates, canvas_size, place, to_faces
from farm.faces.face import Face
from farm.models.picture_input import check_memory

STRIDES = (8, 16, 32)

Outputs = list[NDArray[np.float32]]
Blob = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""[n, h, w, 3] uint8 BGR canvases to what the network takes."""
Decode = Callable[[Outputs, tuple[int, int]], list[Candidates]]
"""Outputs and the canvas size to what was found, one for each canvas."""


class DetectionNetwork:
    """Runs a detection network on pictures of any size."""

    def __init__(self, session: Any, *, side_px: int, overlap: float) -> None:
        """Take the session, which stays the caller's.

        Raises:
            ModelError: Its picture is larger than any memory here.
        """
        taken = session.get_inputs()[0]
        self._session = session
        self._input = taken.name
        self._overlap = overlap
        batch, _channels, height, width = taken.shape
        fixed = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        self._fixed = (int(width), int(height)) if fixed else None
        if self._fixed:
            check_memory(3 * self._fixed[0] * self._fixed[1], "the detector")
        self.side_px = max(self._fixed) if self._fixed else side_px
        # Old exports say "1" or give rows of all pictures in one list: those run one by one. On a
        # CPU all do: the pictures of a batch push each other out of the caches (10 to 40 % slower).
        ranks = {len(output.shape) for output in session.get_outputs()}
        batches = not isinstance(batch, int) and ranks == {3}
        self._batch = getattr(session, "batch", 1) if batches else 1

    def detect(
        self, frames: Sequence[NDArray[np.uint8]], blob: Blob, decode: Decode
    ) -> list[list[Face]]:
        """Faces of each picture, largest first; on a device those of one size go in batches."""
        found: list[list[Face]] = [[] for _ in frames]
        groups: dict[tuple[int, int], list[int]] = {}
        for i, frame in enumerate(frames):
            groups.setdefault((frame.shape[1], frame.shape[0]), []).append(i)
        for size, members in groups.items():
            canvas = self._fixed or canvas_size(*size, self.side_px)
            for first in range(0, len(members), self._batch):
                part = members[first : first + self._batch]
                pictures = np.stack([place(frames[i], canvas) for i in part])
                candidates = decode(self._outputs(blob(pictures)), canvas)
                for i, each in zip(part, candidates, strict=True):
                    found[i] = to_faces(each, size, canvas, self._overlap)
        return found

    def _outputs(self, pictures: NDArray[np.float32]) -> Outputs:
        """All outputs, each as [n, rows, values].

        Raises:
            ModelError: Some are no numbers: a face would count as none, and pass uncovered.
        """
        raw = self._session.run(None, {self._input: np.ascontiguousarray(pictures)})
        if not all(np.isfinite(out).all() for out in raw):
            raise ModelError(
                "the detector gave values that are no numbers: try --execution-provider cpu, or "
                "another model file"
            )
        return [
            np.asarray(out, np.float32).reshape(len(pictures), -1, out.shape[-1]) for out in raw
        ]


def cells_xy(canvas: tuple[int, int], stride: int) -> NDArray[np.float32]:
    """[rows, 2] x and y, in cells, of every cell of the canvas in the networks' order."""
    wide, high = canvas[0] // stride, canvas[1] // stride
    grid = np.indices((high, wide), np.float32)
    return np.stack([grid[1].ravel(), grid[0].ravel()], axis=1)
