"""Looking at images and at the beginning of a clip on the driver: who is in a picture.

The detector and the recognizer are loaded when they are needed first.
Not for: workers (`farm.process`) or decisions (`farm.decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from av.video.frame import VideoFrame

from farm.face_settings import FaceOrder
from farm.faces.casting import in_order
from farm.faces.detect import FaceDetector, choose_model, detect_faces
from farm.faces.recognise import Recogniser
from farm.faces.source import source_embedding
from farm.faces.turned import DetectorSettings, open_detector
from farm.media.frame import EditableFrame
from farm.media.index import VideoIndex
from farm.media.layout import editable_pix_fmt
from farm.media.listing import shown_frames
from farm.models.session import SessionSettings
from farm.models.store import ModelFile, ModelStore
from farm.process import open_recogniser

_REPORT_EVERY = 10
Embedding = tuple[float, ...]
"""[512] unit length, as plain numbers, which cross processes and can be hashed."""


class Looker:
    """A detector and a recognizer of one job."""

    def __init__(
        self,
        settings: DetectorSettings,
        models: ModelStore,
        sessions: SessionSettings,
        *,
        needs_landmarks: bool,
        number: int | None,
    ) -> None:
        """Take what to look with.

        Args:
            settings: What is asked of the detector.
            models: The model files.
            sessions: How networks run.
            needs_landmarks: Whether the job needs landmarks.
            number: Which face of an image that shows several, from the left, from 1.
        """
        self._settings = settings
        self._models = models
        self._sessions = sessions
        self._needs_landmarks = needs_landmarks
        self._number = number
        self._detector: FaceDetector | None = None
        self._recogniser: Recogniser | None = None
        self.files: list[ModelFile] = []
        """Models that were loaded."""
        self.notes: list[str] = []
        """What is odd about the images."""

    @property
    def detector_name(self) -> str:
        """Name of the detector, "none" where none was needed."""
        return "none" if self._detector is None else self._detector.name

    def load(self, *, recognises: bool) -> None:
        """Load the detector and perhaps the recognizer, so that what is missing is said now.

        Raises:
            SetupError: A model is missing or a provider does not load.
        """
        self._detect_with()
        if recognises:
            self._recognise_with()

    def embedding(self, paths: Sequence[Path], option: str) -> Embedding:
        """The person of some images.

        Raises:
            InputError: An image shows no face or several.
        """
        vector = source_embedding(
            paths,
            self._detect_with(),
            self._recognise_with(),
            option=option,
            number=self._number,
            note=self.notes.append,
        )
        return tuple(float(value) for value in vector)

    def first_person(
        self, index: VideoIndex, order: FaceOrder, progress: Callable[[int], None]
    ) -> tuple[Embedding, ...]:
        """The first face, by order, of the first frame that has one; none where none has.

        Args:
            index: The video.
            order: How faces are counted.
            progress: Called with the number of frames searched.
        """
        detector, recogniser = self._detect_with(), self._recognise_with()
        for number, frame in enumerate(shown_frames(index)):
            editable = _editable(index, frame)
            faces = detect_faces(detector, [editable])[0]
            if number % _REPORT_EVERY == 0:
                progress(number)
            for face in in_order(faces, order):
                vector = recogniser.embed(editable, [face])[0]
                if vector is not None:
                    return (tuple(float(value) for value in vector),)
        return ()

    def _detect_with(self) -> FaceDetector:
        if self._detector is None:
            needs = self._needs_landmarks
            model = choose_model(self._settings.detector, self._models, needs_landmarks=needs)
            self.files += [] if model is None else [model]
            self._detector = open_detector(
                self._settings, self._models, self._sessions, landmarks=needs
            )
        return self._detector

    def _recognise_with(self) -> Recogniser:
        if self._recogniser is None:
            self.files.append(self._models.find("recognizer"))
            self._recogniser = open_recogniser(self._models, self._sessions)
        return self._recogniser


def _editable(index: VideoIndex, frame: VideoFrame) -> EditableFrame:
    stream = index.stream
    ready = frame.reformat(format=editable_pix_fmt(frame.format.name), threads=1)
    return EditableFrame(
        ready, rotation=stream.rotation, flipped=stream.flipped, color=stream.color
    )
