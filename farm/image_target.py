"""Rendering a target that is a single image, in this process and without Ray.

The same detectors and processors do the work as for a video of one frame. Only the choice of the
face is simpler: there is one picture, so its largest face is meant, and nobody has to be recognised
again. Not for: videos (`farm.decide`, `farm.process`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from farm.content import check_image_content
from farm.decide import check_processors, licence_notes
from farm.face_settings import FaceSelector
from farm.faces.cascade import NOTE as CASCADE_NOTE
from farm.faces.cascade import CascadeDetector
from farm.faces.casting import in_order
from farm.faces.detect import FaceDetector, choose_model, detect_faces
from farm.faces.face import Face
from farm.faces.recognise import Recogniser
from farm.faces.select import select_faces
from farm.faces.source import source_embedding
from farm.faces.turned import open_detector
from farm.marks.still import write_marked_still
from farm.media.frame import EditableFrame
from farm.media.still import losses, read_still
from farm.media.stream import ColorTags
from farm.meters import peak_memory_bytes
from farm.models.catalogue import ModelKind, of_kind
from farm.models.hashes import sha256_of
from farm.models.session import (
    PROVIDERS,
    SessionSettings,
    choose_provider,
    execution_threads,
)
from farm.models.store import ModelFile, ModelStore
from farm.node.processor import usable_cores
from farm.observer import RenderObserver
from farm.process import open_recogniser
from farm.processors.base import FaceFrame, ProcessorContext
from farm.processors.models import model_kinds
from farm.report import RenderReport, Stage
from farm.settings import RenderSettings

Result = TypeVar("Result")


def render_image(settings: RenderSettings, observer: RenderObserver) -> RenderReport:
    """Render the image `settings.target` to `settings.output`.

    Without `many_faces` the largest face is worked on.

    Raises:
        InputError: The target or a source is no image with what is needed.
        SettingsError: Options contradict each other.
        SetupError: A model or an execution provider is missing.
    """
    read_still(settings.target)  # before models are loaded
    renderer = ImageRenderer(settings, observer)
    observer.planned(1, 1, 1, renderer.provider, renderer.threads, settings.output.suffix)
    return renderer.render(settings)


class ImageRenderer:
    """Renders images one after another; models are loaded once."""

    def __init__(self, settings: RenderSettings, observer: RenderObserver) -> None:
        """Load what the processors need.

        Raises:
            SettingsError: Options contradict each other.
            SetupError: A model or an execution provider is missing.
        """
        self._observer = observer
        self._said: set[str] = set()
        observer.stage(Stage.START)
        began_s = time.monotonic()
        self._work = _FaceWork(settings, observer)
        self._start_s = time.monotonic() - began_s

    @property
    def provider(self) -> str:
        """Short name of the execution provider."""
        return self._work.sessions.provider

    @property
    def threads(self) -> int:
        """Threads of the networks."""
        return self._work.sessions.threads

    def render(self, settings: RenderSettings) -> RenderReport:
        """Render one image; target and output are those of `settings`.

        Raises:
            InputError: The target is no image that can be read.
            JobError: It cannot be encoded.
        """
        work, suffix = self._work, settings.output.suffix
        clock = _StageClock(self._observer, self._start_s)
        self._start_s = 0.0
        still = clock.run(Stage.DECODE, lambda: read_still(settings.target))
        frame = EditableFrame(still.frame, color=ColorTags())
        notes = [*check_image_content(settings), *work.notes(), *losses(still, suffix)]
        for note in notes:
            self._say(note)
        faces = clock.run(Stage.DETECT, lambda: work.detect(frame))
        clock.run(Stage.PROCESS, lambda: work.process(frame, faces))
        notes += clock.run(Stage.ENCODE, lambda: write_marked_still(still, settings))
        self._observer.frames_done(1)
        total_s = clock.total_s()
        return RenderReport(
            output=settings.output,
            frames=1,
            faces=len(faces),
            frames_without_face=0 if faces else 1,
            chunks=1,
            encoder=suffix.lower().lstrip("."),
            pix_fmt=still.frame.format.name,
            provider=work.provider,
            detector=work.detector_name,
            stage_s=clock.seconds,
            fps=1 / total_s if total_s > 0 else 0.0,
            peak_memory_bytes=peak_memory_bytes(),
            input_sha256=sha256_of(settings.target),
            output_sha256=sha256_of(settings.output),
            model_sha256={file.name: file.sha256 for file in work.model_files()},
            model_licence={file.name: file.licence for file in work.model_files()},
            private=work.private,
            notes=tuple(notes),
        )

    def _say(self, note: str) -> None:
        """Tell the observer, once for all images."""
        if note not in self._said:
            self._said.add(note)
            self._observer.note(note)


class _FaceWork:
    """The detector and the processors of one image, loaded."""

    def __init__(self, settings: RenderSettings, observer: RenderObserver) -> None:
        self._settings = settings
        asked = check_processors(settings.processors, settings.sources)
        self._processors = [processor for processor in asked if processor.name != "none"]
        self._models = ModelStore(
            models_dir=settings.models_dir,
            overrides=settings.models,
            allow_unverified=settings.allow_unverified_models,
            progress=lambda p: observer.stage(
                Stage.START, f"fetching {p.name}: {p.done_bytes / max(1, p.total_bytes):.0%}"
            ),
        )
        provider = choose_provider(settings.execution_provider)
        threads = settings.execution_threads or execution_threads(provider, usable_cores())
        self.sessions = SessionSettings(provider=provider, threads=threads)
        self._detector = self._load_detector() if self._processors else None
        self._recogniser: Recogniser | None = None
        self._references: tuple[tuple[float, ...], ...] = ()
        self._odd: list[str] = []
        """What is odd about the images of people."""
        self._start()

    @property
    def provider(self) -> str:
        """The execution provider that ran; "none" where no network did."""
        return PROVIDERS[self.sessions.provider] if self.model_files() else "none"

    @property
    def detector_name(self) -> str:
        """The detector that looked for faces."""
        return self._detector.name if self._detector else "none"

    @property
    def private(self) -> bool:
        """Whether a processor must never let a face through."""
        return any(processor.fails_closed for processor in self._processors)

    def notes(self) -> list[str]:
        """What the user should know of sources, detector and models."""
        notes = [CASCADE_NOTE] if isinstance(self._detector, CascadeDetector) else []
        return [*self._odd, *notes, *licence_notes(self.model_files())]

    def detect(self, frame: EditableFrame) -> tuple[Face, ...]:
        """Every face of the image, largest first."""
        return detect_faces(self._detector, [frame])[0] if self._detector else ()

    def process(self, frame: EditableFrame, faces: tuple[Face, ...]) -> None:
        """Run the processors in order."""
        selected = self._select(frame, faces)
        for processor in self._processors:
            processor.process([FaceFrame(frame=frame, faces=faces, selected=selected)])

    def _select(self, frame: EditableFrame, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        """The faces to work on: all, those like a reference, or the one at a place."""
        selection = self._settings.selection
        if self._many or not self._needs_landmarks:
            return faces
        if self._recogniser is not None and self._references:
            recogniser = self._recogniser
            return select_faces(
                faces,
                references=np.array(self._references, np.float32),
                embed=lambda some: recogniser.embed(frame, some),
                least_likeness=selection.least_likeness,
            )
        place = selection.reference_number - 1
        return tuple(in_order(faces, selection.order)[place : place + 1])

    @property
    def _many(self) -> bool:
        settings = self._settings
        return settings.processors.many_faces or settings.selection.kind is FaceSelector.MANY

    @property
    def _refers(self) -> bool:
        """Whether people are looked for who are like an image."""
        return bool(self._settings.selection.reference_faces) and not self._many

    def model_files(self) -> list[ModelFile]:
        """The models in use."""
        names = [processor.name for processor in self._processors]
        kinds = list(model_kinds(names, self._settings.processors))
        if self._recogniser is not None:
            kinds.append(ModelKind.RECOGNIZER)
        files = [self._models.have_first(of_kind(kind), given=kind) for kind in kinds]
        if self._detector:
            files.append(self._detector_model())
        return [file for file in files if file is not None]

    @property
    def _needs_source(self) -> bool:
        return any(processor.needs_source for processor in self._processors)

    @property
    def _needs_landmarks(self) -> bool:
        return any(processor.needs_landmarks for processor in self._processors)

    def _load_detector(self) -> FaceDetector:
        return open_detector(
            self._settings.processors,
            self._models,
            self.sessions,
            landmarks=self._needs_landmarks,
        )

    def _detector_model(self) -> ModelFile | None:
        asked = self._settings.processors.detector
        return choose_model(asked, self._models, needs_landmarks=self._needs_landmarks)

    def _start(self) -> None:
        """Check all processors, look at the images of people, and only then load them."""
        if self._needs_source or (self._needs_landmarks and self._refers):
            self._recogniser = open_recogniser(self._models, self.sessions)
        context = ProcessorContext(
            settings=self._settings.processors,
            models=self._models,
            sessions=self.sessions,
            source_embedding=self._source() if self._needs_source else None,
        )
        for processor in self._processors:
            processor.check(context)
        for processor in self._processors:
            processor.start(context)
        if self._needs_landmarks and self._refers:
            self._references = tuple(
                self._embedding([path], "--reference-face")
                for path in self._settings.selection.reference_faces
            )

    def _source(self) -> tuple[float, ...]:
        """The person of the source images."""
        return self._embedding(self._settings.sources, "--source")

    def _embedding(self, paths: Sequence[Path], option: str) -> tuple[float, ...]:
        """The person of some images."""
        assert self._detector is not None
        assert self._recogniser is not None
        number = self._settings.selection.source_face
        vector = source_embedding(
            paths,
            self._detector,
            self._recogniser,
            option=option,
            number=number,
            note=self._odd.append,
        )
        return tuple(float(value) for value in vector)


class _StageClock:
    """Tells the observer of each stage and keeps its seconds."""

    def __init__(self, observer: RenderObserver, start_s: float) -> None:
        """Begin; `start_s` were spent before, on loading."""
        self._observer = observer
        self._began_s = time.monotonic() - start_s
        self.seconds: dict[str, float] = {Stage.START.value: start_s} if start_s else {}

    def run(self, stage: Stage, work: Callable[[], Result]) -> Result:
        """Do the work of one stage."""
        self._observer.stage(stage)
        began_s = time.monotonic()
        result = work()
        self.seconds[stage.value] = time.monotonic() - began_s
        return result

    def total_s(self) -> float:
        """Wall-clock seconds so far, which become the total."""
        self.seconds[Stage.TOTAL.value] = time.monotonic() - self._began_s
        return self.seconds[Stage.TOTAL.value]
