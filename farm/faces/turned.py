"""Looking for faces in all four turns of a picture: for people who lie, and photos without EXIF.

Detectors are trained on upright faces. On one that lies on its side they miss, or, worse, find it
and put its landmarks as if it were upright, so that it is taken for somebody else.
Not for: pictures whose turn a file states (`farm.media.orientation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.faces.canvas import best_of_overlapping, largest_first
from farm.faces.detect import FaceDetector, choose_detector
from farm.faces.face import Face
from farm.media.orientation import turn_upright
from farm.media.warp import inverse, stored_to_upright
from farm.models.session import SessionSettings
from farm.models.store import ModelStore

TURNS = (0, 90, 180, 270)
_OVERLAP = 0.4
_AS_IT_IS = 0.05
"""What the picture as it is counts for: another turn must be clearly surer."""


class DetectorSettings(Protocol):
    """What is asked of a detector (`ProcessorSettings`)."""

    @property
    def detector(self) -> str:
        """Its name."""

    @property
    def turned_faces(self) -> bool:
        """Whether faces in other turns are looked for."""


class TurnedDetector:
    """A detector that sees each picture in all four turns and believes the surest one."""

    def __init__(self, detector: FaceDetector) -> None:
        """Take the detector; without landmarks it cannot tell how a face lies, only where."""
        self._detector = detector
        self.name = detector.name
        self.has_landmarks = detector.has_landmarks
        self.wants_gray = detector.wants_gray
        self.max_side_px = detector.max_side_px

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture in its own pixels, largest first."""
        found: list[list[tuple[float, Face]]] = [[] for _ in frames]
        for turn in TURNS:
            turned = [np.ascontiguousarray(turn_upright(frame, turn, False)) for frame in frames]
            bonus = _AS_IT_IS if turn == 0 else 0.0
            for mine, frame, faces in zip(
                found, frames, self._detector.detect(turned), strict=True
            ):
                mine += [(face.score + bonus, _turned_back(face, frame, turn)) for face in faces]
        return [_surest(each) for each in found]


def open_detector(
    settings: DetectorSettings, models: ModelStore, sessions: SessionSettings, *, landmarks: bool
) -> FaceDetector:
    """The detector that a job takes, loaded, looking at every turn where that was asked for.

    Raises:
        SettingsError: As for `choose_detector`.
        ModelError: As for `choose_detector`.
        ProviderError: The provider does not load.
    """
    detector = choose_detector(settings.detector, models, sessions, needs_landmarks=landmarks)
    return TurnedDetector(detector) if settings.turned_faces else detector


def _surest(found: Sequence[tuple[float, Face]]) -> list[Face]:
    """The faces that no surer one overlaps, largest first."""
    if not found:
        return []
    boxes = np.stack([face.box_xyxy for _score, face in found])
    scores = np.array([score for score, _face in found], np.float32)
    return largest_first([found[i][1] for i in best_of_overlapping(boxes, scores, _OVERLAP)])


def _turned_back(face: Face, frame: NDArray[np.uint8], turn: int) -> Face:
    """A face of the turned picture, in pixels of the picture as it is."""
    if turn == 0:
        return face
    height, width = frame.shape[:2]
    back = inverse(stored_to_upright(width, height, turn, False))

    def moved(points: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(points @ back[:, :2].T + back[:, 2], np.float32)

    # Edges of boxes lie half a pixel beside centres.
    corners = moved(face.box_xyxy.reshape(2, 2) - 0.5) + np.float32(0.5)
    points = face.landmarks_xy
    return Face(
        box_xyxy=np.concatenate([corners.min(0), corners.max(0)]),
        score=face.score,
        landmarks_xy=None if points is None else moved(points),
    )
