"""The YuNet detectors, permissively licensed and small, run in the farm's own sessions.

Not for: other families of detectors, or opening sessions (`farm.models.session`).
Source: Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.canvas import Candidates
from farm.faces.face import Face
from farm.faces.network import STRIDES, DetectionNetwork, Outputs, cells_xy

SIDE_PX = 640
MIN_SCORE = 0.6
OVERLAP = 0.3
_KINDS = ("cls", "obj", "bbox", "kps")


class YunetDetector:
    """Boxes and five landmarks by a network with twelve outputs named by kind and stride."""

    name = "yunet"
    has_landmarks = True
    wants_gray = False

    def __init__(self, session: Any) -> None:
        """Take a session of the model.

        Raises:
            ModelError: The model does not have the outputs of YuNet.
        """
        names = [output.name for output in session.get_outputs()]
        wanted = [f"{kind}_{stride}" for kind in _KINDS for stride in STRIDES]
        if sorted(names) != sorted(wanted):
            raise ModelError(
                f"the detector's outputs are {', '.join(names)}, not those of YuNet: "
                "take yunet_n_dynamic.onnx, or name its kind with --detector"
            )
        self._order = [names.index(name) for name in wanted]
        self._network = DetectionNetwork(session, side_px=SIDE_PX, overlap=OVERLAP)
        self.max_side_px = self._network.side_px

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each [h, w, 3] uint8 BGR picture in its own pixels, largest first."""
        return self._network.detect(frames, _blob, self._decode)

    def _decode(self, outputs: Outputs, canvas: tuple[int, int]) -> list[Candidates]:
        """Candidates of every picture above the least score."""
        sorted_outputs = [outputs[i] for i in self._order]
        return [
            _decode_one([out[i] for out in sorted_outputs], canvas)
            for i in range(outputs[0].shape[0])
        ]


def _blob(pictures_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[n, 3, h, w] BGR, 0 to 255."""
    return pictures_bgr.transpose(0, 3, 1, 2).astype(np.float32)


def _decode_one(outputs: Outputs, canvas: tuple[int, int]) -> Candidates:
    """Candidates of one picture; `outputs` by kind, then stride."""
    boxes, scores, landmarks = [], [], []
    kinds = (outputs[0:3], outputs[3:6], outputs[6:9], outputs[9:12])
    for stride, classes, objects, box, points in zip(STRIDES, *kinds, strict=True):
        score = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
        keep = np.flatnonzero(score >= MIN_SCORE)
        cells = cells_xy(canvas, stride)[keep]
        centre = (cells + box[keep, :2]) * stride
        half = np.exp(box[keep, 2:]) * stride / 2
        boxes.append(np.hstack([centre - half, centre + half]))
        scores.append(score[keep])
        landmarks.append((cells[:, None] + points[keep].reshape(-1, 5, 2)) * stride)
    return Candidates(
        boxes_xyxy=np.concatenate(boxes),
        scores=np.concatenate(scores),
        landmarks_xy=np.concatenate(landmarks),
    )
