"""What is decided once per job, on the driver: who goes into the video and who is worked on.

Deciding per chunk would let chunks differ. Not for: the work itself (`farm.process`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.errors import SettingsError
from farm.face_settings import AnalysisSettings, FaceOrder, FaceSelector, SelectionSettings
from farm.faces.cascade import NOTE as CASCADE_NOTE
from farm.faces.casting import in_order
from farm.faces.detect import FaceDetector, choose_detector, choose_model, detect_faces
from farm.faces.recognise import Recogniser
from farm.faces.source import source_embedding
from farm.faces.table_file import TableDocument, read_table
from farm.media.frame import EditableFrame
from farm.media.index import VideoIndex
from farm.media.layout import editable_pix_fmt
from farm.media.listing import shown_frames
from farm.models.session import PROVIDERS, choose_provider
from farm.models.store import ModelFile, ModelStore
from farm.process import AnalysisJob, FaceJob, load_processors, open_recogniser
from farm.processors.base import FrameProcessor
from farm.processors.models import model_kinds
from farm.processors.registry import needs_faces
from farm.settings import ProcessorSettings
from farm.who import NOBODY_NOTE, Wanted

_REPORT_EVERY = 10
SELECTION, ANALYSIS = SelectionSettings(), AnalysisSettings()
"""What is meant where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceDecision:
    """The job's decisions, and what they rest on."""

    job: FaceJob
    detector: str
    """Name of the detector, "none" where nothing looks for faces."""
    model_sha256: dict[str, str]
    model_licence: dict[str, str]
    alters: tuple[str, ...]
    """Processors that change pictures."""
    private: bool
    """Whether a processor must never let a face through."""
    notes: tuple[str, ...]
    table: TableDocument | None = None
    """The table that was given to render from."""
    wanted: Wanted | None = None
    """Whom a job works on that reads a table."""
    files: tuple[ModelFile, ...] = ()
    """The models that workers load."""

    @property
    def provider(self) -> str:
        """Full name of the execution provider, "none" where no network runs."""
        return PROVIDERS[self.job.provider] if self.model_sha256 else "none"


def check_processors(settings: ProcessorSettings, sources: Sequence[Path]) -> list[FrameProcessor]:
    """Load the processors of a job and see that what they need was given.

    Raises:
        SettingsError: A name is unknown, or a source is missing.
    """
    processors = load_processors(settings.names)
    needing = [p.name for p in processors if p.needs_source]
    if needing and not sources:
        raise SettingsError(f"{needing[0]} needs a face: give an image with -s/--source")
    return processors


def decide(
    settings: ProcessorSettings,
    sources: Sequence[Path],
    models: ModelStore,
    provider: str | None,
    threads: int,
    index: VideoIndex,
    progress: Callable[[int], None],
    *,
    selection: SelectionSettings = SELECTION,
    analysis: AnalysisSettings = ANALYSIS,
) -> FaceDecision:
    """Decide for the whole job, with the models loaded in this process.

    Args:
        settings: What was asked for.
        sources: Images of the person to put in.
        models: The model files.
        provider: Short name, None for the best that loads here.
        threads: Threads of a network.
        index: The video.
        progress: Called with the number of frames searched for a face.
        selection: Whom to work on.
        analysis: What is to be known of the whole clip.

    Raises:
        FarmError: A model, provider or source is missing or wrong.
    """
    processors = [p for p in check_processors(settings, sources) if p.name != "none"]
    many = settings.many_faces or selection.kind is FaceSelector.MANY
    job = FaceJob(
        settings=replace(settings, many_faces=many),
        models=models.for_worker(),
        provider=choose_provider(provider) if processors else "cpu",
        frame_size=upright_size(index),
        least_likeness=selection.least_likeness,
    )
    if not processors:
        return _decision(job, "none", [], processors, ())
    decider = _Decider(job, processors, selection, analysis, threads)
    return decider.decide(sources, models, index, progress)


class _Decider:
    """The decisions of one job that has processors."""

    def __init__(
        self,
        job: FaceJob,
        processors: Sequence[FrameProcessor],
        selection: SelectionSettings,
        analysis: AnalysisSettings,
        threads: int,
    ) -> None:
        self._job = job
        self._processors = processors
        self._selection = selection
        self._table = None if selection.faces is None else read_table(selection.faces)
        self._landmarks = any(p.needs_landmarks for p in processors)
        self._chooses = self._landmarks and not job.settings.many_faces
        """Whether somebody must say whom to work on."""
        self._in_advance = analysis.is_asked or (self._chooses and selection.needs_table)
        self._detect_every = analysis.detect_every
        self._context = job.context(threads)

    def decide(
        self,
        sources: Sequence[Path],
        models: ModelStore,
        index: VideoIndex,
        progress: Callable[[int], None],
    ) -> FaceDecision:
        """Check processors and models, and look at sources and references."""
        for processor in self._processors:
            processor.check(self._context)
        job, settings = self._job, self._job.settings
        if not any(needs_faces(p) for p in self._processors):
            kinds = model_kinds([p.name for p in self._processors], settings)
            found = [models.find(kind) for kind in kinds]
            return _decision(job, "none", found, self._processors, ())
        wants_source = any(p.needs_source for p in self._processors)
        shows = self._selection.reference_faces if self._chooses else ()
        detects = self._table is None or wants_source or bool(shows)
        files = _model_files(self._processors, settings, models, self._landmarks, detects)
        detector = self._detector(models) if detects else None
        name = "the face table" if self._table is not None else getattr(detector, "name", "none")
        notes = [CASCADE_NOTE] if name == "cascade" else []
        recognises = self._chooses and self._table is None
        references: tuple[tuple[float, ...], ...] = ()
        if wants_source or recognises or shows:
            assert detector is not None
            files.append(models.find("recognizer"))
            recogniser = open_recogniser(models, self._context.sessions)
            if wants_source:
                which = self._selection.source_face
                embedding = source_embedding(sources, detector, recogniser, number=which)
                job = replace(job, source_embedding=_floats(embedding))
            references = tuple(
                _floats(
                    source_embedding(
                        [path],
                        detector,
                        recogniser,
                        option="--reference-face",
                        number=self._selection.source_face,
                    )
                )
                for path in shows
            )
            if recognises and not references and not self._in_advance:
                references = _reference(
                    index, detector, recogniser, self._selection.order, progress
                )
                notes += [] if references else [NOBODY_NOTE]
        reads = self._in_advance or self._table is not None
        job = replace(
            job,
            references=() if reads else references,
            reads_table=reads,
            analysis=self._analysis(recognises) if self._in_advance else None,
        )
        decision = _decision(job, name, files, self._processors, tuple(notes))
        return replace(decision, table=self._table, wanted=self._wanted(references))

    def _detector(self, models: ModelStore) -> FaceDetector:
        return choose_detector(
            self._job.settings.detector,
            models,
            self._context.sessions,
            needs_landmarks=self._landmarks,
        )

    def _analysis(self, recognises: bool) -> AnalysisJob:
        return AnalysisJob(
            detect_every=self._detect_every,
            needs_landmarks=self._landmarks,
            recognises=recognises,
        )

    def _wanted(self, references: tuple[tuple[float, ...], ...]) -> Wanted:
        """Who is meant, for a job that reads a table."""
        selection = self._selection
        return Wanted(
            everyone=not self._chooses,
            references=references,
            least_likeness=selection.least_likeness,
            order=selection.order,
            at_s=selection.reference_at,
            number=selection.reference_number,
        )


def upright_size(index: VideoIndex) -> tuple[int, int]:
    """Return width and height as a player shows the picture."""
    stream = index.stream
    turned = stream.rotation in (90, 270)
    return (stream.height, stream.width) if turned else (stream.width, stream.height)


def _decision(
    job: FaceJob,
    detector: str,
    files: Sequence[ModelFile],
    processors: Sequence[FrameProcessor],
    notes: tuple[str, ...],
) -> FaceDecision:
    return FaceDecision(
        job=job,
        detector=detector,
        model_sha256={file.name: file.sha256 for file in files},
        model_licence={file.name: file.licence for file in files},
        alters=tuple(p.name for p in processors),
        private=any(p.fails_closed for p in processors),
        notes=(*notes, *licence_notes(files)),
        files=tuple(files),
    )


def licence_notes(files: Sequence[ModelFile]) -> tuple[str, ...]:
    """Return what is to be said of the licences of a job's models."""
    names = [file.name for file in files if file.is_non_commercial]
    return (f"for non-commercial use only, by its models: {', '.join(names)}",) if names else ()


def _model_files(
    processors: Sequence[FrameProcessor],
    settings: ProcessorSettings,
    models: ModelStore,
    landmarks: bool,
    detects: bool,
) -> list[ModelFile]:
    """Return the files of detector and processors, fetched where they are missing."""
    files = [models.find(kind) for kind in model_kinds([p.name for p in processors], settings)]
    if not detects:
        return files
    detector = choose_model(settings.detector, models, needs_landmarks=landmarks)
    return files if detector is None else [*files, detector]


def _reference(
    index: VideoIndex,
    detector: FaceDetector,
    recogniser: Recogniser,
    order: FaceOrder,
    progress: Callable[[int], None],
) -> tuple[tuple[float, ...], ...]:
    """Return the embedding of the first face, by order, of the first frame that has one."""
    for number, frame in enumerate(shown_frames(index)):
        editable = _editable(index, frame)
        faces = detect_faces(detector, [editable])[0]
        if number % _REPORT_EVERY == 0:
            progress(number)
        for face in in_order(faces, order):
            vector = recogniser.embed(editable, [face])[0]
            if vector is not None:
                return (_floats(vector),)
    return ()


def _editable(index: VideoIndex, frame: VideoFrame) -> EditableFrame:
    stream = index.stream
    ready = frame.reformat(format=editable_pix_fmt(frame.format.name))
    return EditableFrame(
        ready, rotation=stream.rotation, flipped=stream.flipped, color=stream.color
    )


def _floats(vector: NDArray[np.float32]) -> tuple[float, ...]:
    """Return an embedding as plain numbers, which cross processes and can be hashed."""
    return tuple(float(value) for value in vector)


def decide_analysis(
    settings: ProcessorSettings,
    models: ModelStore,
    provider: str | None,
    index: VideoIndex,
    analysis: AnalysisSettings,
    *,
    recognises: bool,
) -> FaceDecision:
    """Decide for a job that only looks, whatever will be done with the faces.

    Args:
        settings: Which detector.
        models: The model files.
        provider: Short name, None for the best that loads here.
        index: The video.
        analysis: What is to be known.
        recognises: Whether the table shall say who is who.

    Raises:
        FarmError: A model or provider is missing or wrong.
    """
    model = choose_model(settings.detector, models, needs_landmarks=recognises)
    files = [] if model is None else [model]
    if recognises:
        files.append(models.find("recognizer"))
    job = FaceJob(
        settings=settings,
        models=models.for_worker(),
        provider=choose_provider(provider),
        frame_size=upright_size(index),
        analysis=AnalysisJob(
            detect_every=analysis.detect_every, needs_landmarks=recognises, recognises=recognises
        ),
    )
    sessions = job.context(threads=1).sessions
    detector = choose_detector(settings.detector, models, sessions, needs_landmarks=recognises)
    notes = (CASCADE_NOTE,) if model is None else ()
    return _decision(job, detector.name, files, (), notes)
