"""Finding faces: the contract of detectors, which one a job takes, and running it on frames.

Not for: the detectors themselves (`farm.faces.scrfd`, `farm.faces.yunet`, `farm.faces.cascade`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError, SettingsError
from farm.faces.cascade import CascadeDetector
from farm.faces.face import Face
from farm.faces.open_batch import open_detector_session
from farm.faces.scrfd import ScrfdDetector
from farm.faces.yunet import YunetDetector
from farm.farm_options import DETECTORS
from farm.models.catalogue import SCRFD, YUNET, ModelKind
from farm.models.session import SessionSettings, open_session
from farm.models.store import ModelFile, ModelStore
from farm.names import require_known


class FaceDetector(Protocol):
    """Finds faces in pictures; an instance belongs to one thread."""

    @property
    def name(self) -> str:
        """Name on the command line."""

    @property
    def has_landmarks(self) -> bool:
        """Whether its faces have the five landmarks."""

    @property
    def wants_gray(self) -> bool:
        """Whether it looks at brightness only, so that [h, w] pictures do."""

    @property
    def max_side_px(self) -> int:
        """Longest side that it looks at; larger pictures are scaled down."""

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each [h, w, 3] uint8 BGR picture in that picture's pixels, largest first.

        The faces of a picture do not depend on the others of the batch.
        """


class DetectableFrame(Protocol):
    """What is needed of a frame (`EditableFrame`) to look for faces in it."""

    @property
    def width(self) -> int:
        """Upright width, in pixels."""

    @property
    def height(self) -> int:
        """Upright height, in pixels."""

    def to_bgr(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """The upright picture, scaled down to a side."""

    def read_luma(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """Brightness of the upright picture, scaled down to a side."""


def choose_model(asked: str, models: ModelStore, *, needs_landmarks: bool) -> ModelFile | None:
    """The model file of the detector that a job takes; None for the cascades.

    `auto` takes the user's own or a local model; where there is none, the cascades if landmarks are
    not needed, else the model of the default pack, fetched when missing.

    Raises:
        SettingsError: `asked` is unknown, or the cascades where landmarks are needed.
        ModelError: The model is missing and cannot be fetched, damaged or unverified.
    """
    require_known("--detector", asked, DETECTORS)
    if asked == "cascade":
        if needs_landmarks:
            raise SettingsError(
                "--detector cascade finds no landmarks, which this job needs: "
                "take --detector yunet or scrfd"
            )
        return None
    if asked != "auto":
        family = SCRFD if asked == "scrfd" else YUNET
        return models.find_first(family, given=ModelKind.DETECTOR)
    local = models.have_first((*SCRFD, *YUNET), given=ModelKind.DETECTOR)
    if local is not None or not needs_landmarks:
        return local
    return models.find_first(SCRFD)


def choose_detector(
    asked: str, models: ModelStore, sessions: SessionSettings, *, needs_landmarks: bool
) -> FaceDetector:
    """The detector that a job takes, loaded; see `choose_model`.

    Raises:
        SettingsError: As for `choose_model`.
        ModelError: As for `choose_model`, or the file is not a detector of that kind.
        ProviderError: The provider does not load.
    """
    model = choose_model(asked, models, needs_landmarks=needs_landmarks)
    if model is None:
        return CascadeDetector()
    opened = open_detector_session if sessions.on_device else open_session
    session = opened(model.path, sessions.for_decisions())
    return _of_session(asked, session, model)


def _of_session(asked: str, session: Any, model: ModelFile) -> FaceDetector:
    """The detector that fits the model's outputs."""
    names = [output.name for output in session.get_outputs()]
    is_yunet = asked == "yunet" or (asked == "auto" and "cls_8" in names)
    try:
        return YunetDetector(session) if is_yunet else ScrfdDetector(session)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error.message}") from error


def detect_faces(
    detector: FaceDetector, frames: Sequence[DetectableFrame]
) -> list[tuple[Face, ...]]:
    """Faces of each frame in pixels of its full upright picture, largest first."""
    side = detector.max_side_px
    pictures = [
        frame.read_luma(side) if detector.wants_gray else frame.to_bgr(side) for frame in frames
    ]
    found = detector.detect(pictures)
    return [
        tuple(
            _enlarged(face, frame.width / small.shape[1], frame.height / small.shape[0])
            for face in faces
        )
        for frame, small, faces in zip(frames, pictures, found, strict=True)
    ]


def _enlarged(face: Face, ratio_x: float, ratio_y: float) -> Face:
    """The face in a picture that is wider and higher by these ratios."""
    ratio = np.array([ratio_x, ratio_y], np.float32)
    points = face.landmarks_xy
    return Face(
        box_xyxy=face.box_xyxy * np.tile(ratio, 2),
        score=face.score,
        landmarks_xy=None if points is None else points * ratio,
    )
