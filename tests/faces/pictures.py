"""Pictures and frames with squares that the made detectors find."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from tests.model_maker import landmarks_in

GRAY = 90


def gray_picture(width: int = 400, height: int = 300) -> NDArray[np.uint8]:
    """[h, w, 3] uint8 of one gray."""
    return np.full((height, width, 3), GRAY, np.uint8)


def frame_of(picture_bgr: NDArray[np.uint8], pix_fmt: str = "bgr24") -> EditableFrame:
    """An editable frame of this picture."""
    frame = av.VideoFrame.from_ndarray(picture_bgr, format="bgr24").reformat(
        format=pix_fmt, threads=1
    )
    return EditableFrame(frame, color=ColorTags())


def face_at(box_xyxy: tuple[float, float, float, float], *, landmarks: bool = True) -> Face:
    """A face as the made detectors give it."""
    return Face(
        box_xyxy=np.array(box_xyxy, np.float32),
        score=0.9,
        landmarks_xy=landmarks_in(box_xyxy) if landmarks else None,
    )


def portrait() -> NDArray[np.uint8]:
    """The portrait that scikit-image ships: one face at about (181, 56, 271, 178)."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    data = (Path(spec.origin).parent / "data" / "astronaut.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(picture, np.uint8)
