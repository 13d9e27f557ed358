"""The SCRFD detectors of InsightFace's model packs, decoded here so that frames go in batches.

Not for: other families of detectors, or opening sessions (`farm.models.session`).
Source: Guo et al., Sample and Computation Redistribution for Efficient Face Detection, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.canvas import Candidates
from farm.faces.face import Face
from farm.faces.network import STRIDES, DetectionNetwork, Outputs, cells_xy

SIDE_PX = 640
MIN_SCORE = 0.5
OVERLAP = 0.4
_VALUES = (1, 4, 10)
"""Values in a row of the three kinds of output: score, box distances, landmark offsets."""


class ScrfdDetector:
    """Boxes and five landmarks by a network with nine outputs."""

    name = "scrfd"
    has_landmarks = True
    wants_gray = False

    def __init__(self, session: Any) -> None:
        """Take a session of the model.

        Raises:
            ModelError: The model does not have the outputs of SCRFD.
        """
        if len(session.get_outputs()) != len(STRIDES) * len(_VALUES):
            raise ModelError(
                f"the detector has {len(session.get_outputs())} outputs where SCRFD with landmarks "
                "has 9: take det_10g.onnx of buffalo_l, or name its kind with --detector"
            )
        self._network = DetectionNetwork(session, side_px=SIDE_PX, overlap=OVERLAP)
        self.max_side_px = self._network.side_px

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each [h, w, 3] uint8 BGR picture in its own pixels, largest first."""
        return self._network.detect(frames, _blob, _decode)


def _blob(pictures_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[n, 3, h, w] RGB, (value - 127.5) / 128."""
    size = (pictures_bgr.shape[2], pictures_bgr.shape[1])
    blob = cv2.dnn.blobFromImages(list(pictures_bgr), 1 / 128, size, (127.5,) * 3, swapRB=True)
    return np.asarray(blob, np.float32)


def _decode(outputs: Outputs, canvas: tuple[int, int]) -> list[Candidates]:
    """Candidates of every picture above the least score."""
    kinds = [_by_stride(outputs, values) for values in _VALUES]
    count = outputs[0].shape[0]
    return [_decode_one([[out[i] for out in kind] for kind in kinds], canvas) for i in range(count)]


def _by_stride(outputs: Outputs, values: int) -> Outputs:
    """Outputs with rows of this many values, smallest stride (most rows) first.

    Raises:
        ModelError: There are not three of them.
    """
    chosen = [out for out in outputs if out.shape[-1] == values]
    if len(chosen) != len(STRIDES):
        raise ModelError(f"the detector has {len(chosen)} outputs of {values} values, SCRFD has 3")
    return sorted(chosen, key=lambda out: -out.shape[1])


def _decode_one(kinds: list[Outputs], canvas: tuple[int, int]) -> Candidates:
    """Candidates of one picture; distances and offsets are in strides from an anchor's point."""
    boxes, scores, landmarks = [], [], []
    for stride, score, box, points in zip(STRIDES, *kinds, strict=True):
        keep = np.flatnonzero(score[:, 0] >= MIN_SCORE)
        cells = cells_xy(canvas, stride)
        anchors = np.repeat(cells, max(1, len(score) // max(1, len(cells))), axis=0)[keep] * stride
        reach = box[keep] * stride
        boxes.append(np.hstack([anchors - reach[:, :2], anchors + reach[:, 2:]]))
        scores.append(score[keep, 0])
        landmarks.append(anchors[:, None] + points[keep].reshape(-1, 5, 2) * stride)
    return Candidates(
        boxes_xyxy=np.concatenate(boxes),
        scores=np.concatenate(scores),
        landmarks_xy=np.concatenate(landmarks),
    )
