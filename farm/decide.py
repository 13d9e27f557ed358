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
from farm.faces.cascade import NOTE as CASCADE_NOTE
from farm.faces.detect import FaceDetector, choose_detector, choose_model, detect_faces
from farm.faces.recognise import Recogniser
from farm.faces.source import source_embedding
from farm.media.fields import editable
from farm.media.frame import EditableFrame
from farm.media.index import VideoIndex
from farm.media.layout import editable_pix_fmt
from farm.media.listing import shown_frames
from farm.models.session import PROVIDERS, choose_provider
from farm.models.store import ModelFile, ModelStore
from farm.process import FaceJob, load_processors, open_recogniser
from farm.processors.base import FrameProcessor
from farm.processors.models import model_kinds
from farm.processors.registry import needs_faces
from farm.settings import ProcessorSettings

_REPORT_EVERY = 10
_NOBODY_NOTE = "no frame shows a face: the pictures stay as they are"


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

    Raises:
        FarmError: A model, provider or source is missing or wrong.
    """
    processors = [p for p in check_processors(settings, sources) if p.name != "none"]
    landmarks = any(p.needs_landmarks for p in processors)
    job = FaceJob(
        settings=settings,
        models=models.for_worker(),
        provider=choose_provider(provider) if processors else "cpu",
        frame_size=upright_size(index),
    )
    if not processors:
        return _decision(job, "none", [], processors, ())
    context = job.context(threads)
    for processor in processors:
        processor.check(context)
    if not any(needs_faces(p) for p in processors):
        kinds = model_kinds([p.name for p in processors], settings)
        return _decision(job, "none", [models.find(kind) for kind in kinds], processors, ())
    files = _model_files(processors, settings, models, landmarks)
    detector = choose_detector(
        settings.detector, models, context.sessions, needs_landmarks=landmarks
    )
    notes = [CASCADE_NOTE] if detector.name == "cascade" else []
    wants_source = any(p.needs_source for p in processors)
    wants_reference = landmarks and not settings.many_faces
    if wants_source or wants_reference:
        files.append(models.find("recognizer"))
        recogniser = open_recogniser(models, context.sessions)
        if wants_source:
            embedding = source_embedding(sources, detector, recogniser)
            job = replace(job, source_embedding=_floats(embedding))
        if wants_reference:
            reference = _reference(index, detector, recogniser, progress)
            job = replace(job, reference=_floats(reference))
            notes += [] if job.reference else [_NOBODY_NOTE]
    return _decision(job, detector.name, files, processors, tuple(notes))


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
) -> list[ModelFile]:
    """Return the files of detector and processors, fetched where they are missing."""
    files = [models.find(kind) for kind in model_kinds([p.name for p in processors], settings)]
    detector = choose_model(settings.detector, models, needs_landmarks=landmarks)
    return files if detector is None else [*files, detector]


def _reference(
    index: VideoIndex,
    detector: FaceDetector,
    recogniser: Recogniser,
    progress: Callable[[int], None],
) -> NDArray[np.float32] | None:
    """Return the embedding of the largest face of the first frame that has one."""
    for number, frame in enumerate(shown_frames(index)):
        editable = _editable(index, frame)
        faces = detect_faces(detector, [editable])[0]
        if number % _REPORT_EVERY == 0:
            progress(number)
        for face in faces:
            vector = recogniser.embed(editable, [face])[0]
            if vector is not None:
                return vector
    return None


def _editable(index: VideoIndex, frame: VideoFrame) -> EditableFrame:
    stream = index.stream
    ready = frame.reformat(format=editable_pix_fmt(frame.format.name))
    whole = editable(ready, rotation=stream.rotation, flipped=stream.flipped, color=stream.color)
    return whole.pictures[0]


def _floats(vector: NDArray[np.float32] | None) -> tuple[float, ...] | None:
    """Return an embedding as plain numbers, which cross processes and can be hashed."""
    return None if vector is None else tuple(float(value) for value in vector)
