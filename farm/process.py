"""The face stage: one detection per frame, then every processor in order.

Used by workers for video and by the command itself for images. Not for: decoding or encoding.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import compress
from typing import Protocol

import numpy as np

from farm.chain import ProcessorChain
from farm.errors import ModelError
from farm.faces.canvas import shares
from farm.faces.casting import FrameFaces
from farm.faces.detect import FaceDetector, detect_faces
from farm.faces.face import Face
from farm.faces.flicker import ReplacedFrame
from farm.faces.observe import Observer
from farm.faces.recognise import Recogniser
from farm.faces.select import SAME_PERSON, select_faces
from farm.faces.turned import open_detector
from farm.gap_cover import GapCover, Pictures
from farm.media.frame import EditableFrame
from farm.models.session import MAX_BATCH, SessionSettings, open_session
from farm.models.store import ModelStore
from farm.processors.base import FaceFrame, FrameProcessor, ProcessorContext
from farm.processors.registry import lead_of, load_processor, needs_faces
from farm.settings import ProcessorSettings

_LANES = 2
_SAME_FACE = 0.3
"""Overlap from which the faces of two fields are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisJob:
    """What an analysis pass looks for."""

    detect_every: int
    needs_landmarks: bool
    recognises: bool
    """Whether somebody wants to know whose the faces are."""
    fill_gaps: int = 0
    """Most frames for which a face that is lost and found again is put in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceJob:
    """What the driver decided once for the whole job; workers only carry it out."""

    settings: ProcessorSettings
    models: ModelStore
    provider: str
    """Short name of the execution provider."""
    frame_size: tuple[int, int]
    """Upright width and height."""
    source_embedding: tuple[float, ...] | None = None
    references: tuple[tuple[float, ...], ...] = ()
    """Embeddings of the people to work on; none with `many_faces` or where nobody was found."""
    least_likeness: float = SAME_PERSON
    """Cosine similarity from which a face is taken for the reference."""
    more_sources: tuple[tuple[float, ...], ...] = ()
    """Embeddings of the sources behind the first one; only with a map of faces."""
    analysis: AnalysisJob | None = None
    """What is looked for before the render; None where the render finds its faces itself."""
    reads_table: bool = False
    """Whether a render gets its faces with each chunk."""
    cover_gaps: int = 0
    """Most frames for which a face that is lost and found again is put in between while rendering.
    """
    batch: int = MAX_BATCH
    """Frames that go through the networks together on a device; one number for the whole job."""

    def context(self, threads: int) -> ProcessorContext:
        """Return what processors see, for a worker with this thread budget."""
        return ProcessorContext(
            settings=self.settings,
            models=self.models,
            sessions=SessionSettings(
                provider=self.provider,
                threads=threads,
                batch=self.batch,
                precision=self.settings.precision,
            ),
            source_embedding=self.source_embedding,
            more_sources=self.more_sources,
            frame_size=self.frame_size,
        )


@dataclass(slots=True, kw_only=True)
class FaceCounts:
    """What the stage saw and how long it took."""

    faces: int = 0
    frames_without_face: int = 0
    faces_filled: int = 0
    """Of the faces those that were put in between two sights."""
    frames_filled: int = 0
    detect_s: float = 0.0
    process_s: float = 0.0
    done: int = 0
    """How many more frames of the chunk are through all processors."""


class Watch(Protocol):
    """Looks at the pictures of a batch before and after the processors (`FlickerWatch`)."""

    def before(self, batch: Sequence[ReplacedFrame]) -> None:
        """The batch is about to be worked on."""

    def after(self, batch: Sequence[ReplacedFrame]) -> None:
        """It was."""


class FaceStage:
    """Loaded processors and detector of one worker; `lanes` threads may call it at a time."""

    def __init__(self, job: FaceJob, threads: int) -> None:
        """Load everything.

        Raises:
            SetupError: A model is missing or a provider does not load.
        """
        self._job = job
        context = job.context(threads)
        self._processors: list[FrameProcessor] = [
            p for p in load_processors(job.settings.names) if needs_faces(p)
        ]
        self._detector: FaceDetector | None = None
        self._recogniser: Recogniser | None = None
        if self._processors and not job.reads_table:
            landmarks = any(p.needs_landmarks for p in self._processors)
            self._detector = open_detector(
                job.settings, job.models, context.sessions, landmarks=landmarks
            )
            if job.references and landmarks:
                self._recogniser = open_recogniser(job.models, context.sessions)
        for processor in self._processors:
            processor.start(context)
        self._chained = bool(job.cover_gaps) or any(lead_of(self._processors))
        several = context.sessions.on_device and not self._chained
        self.lanes = _LANES if self._processors and several else 1
        """Threads that may run batches at the same time: on a device, one prepares and pastes while
        another waits for it."""
        self.batch = job.batch
        """Frames of a batch at most."""
        self._detecting = threading.Lock()
        self._processing = [threading.Lock() for _ in self._processors]

    @property
    def replaces(self) -> bool:
        """Whether faces are replaced, so that they may flicker."""
        return any(processor.needs_landmarks for processor in self._processors)

    @property
    def idle(self) -> bool:
        """Whether frames pass through unseen."""
        return not self._processors

    def chain(self, shown: range, counted: range) -> ProcessorChain | None:
        """The processors for the frames of one chunk; None where each batch is done at once.

        Args:
            shown: Places among its frames of those that are to be worked on.
            counted: Those that enter the counts.
        """
        if self.idle or not self._chained:
            return None
        chain = ProcessorChain(self._processors, shown)
        if self._job.cover_gaps:
            chain.cover_gaps(self._job.cover_gaps, self._look, counted)
        return chain

    def run(
        self,
        frames: Sequence[EditableFrame],
        counted: Sequence[bool] | None = None,
        rows: Sequence[FrameFaces] | None = None,
        *,
        watch: Watch | None = None,
        chain: ProcessorChain | None = None,
    ) -> FaceCounts:
        """Process a batch of frames in place.

        Args:
            frames: In display order.
            counted: Which of them enter the counts, None for all: a frame that two chunks need
                counts once.
            rows: The faces of each, where the job reads them from a table.
            watch: Looks at the pictures before and after the processors; with a chain only before,
                as frames are done later.
            chain: That of the frames' chunk, where `chain` gave one; then frames are done later.

        Raises:
            ValueError: The job reads a table and there are no rows, or the other way round.
        """
        if self.idle:
            return FaceCounts()
        if (rows is not None) != self._job.reads_table:
            raise ValueError("rows of a face table are given if and only if the job reads them")
        started = time.perf_counter()
        if rows is None:
            searched = None if chain is None else chain.searches(len(frames))
            batch, found = self._found(frames, searched)
        else:
            batch, found = _of_table(frames, rows)
        detected = time.perf_counter()
        done = len(frames)
        if chain is not None:
            if watch is not None:
                watch.before(batch)
            done = chain.push(_by_frame(frames, batch))
        else:
            self._process(batch, watch)
        counts = _counts(found if counted is None else compress(found, counted))
        counts.detect_s = detected - started
        counts.process_s = time.perf_counter() - detected
        counts.done = done
        return counts

    def _process(self, batch: list[FaceFrame], watch: Watch | None) -> None:
        """Run all processors on a batch."""
        if watch is not None:
            watch.before(batch)
        for processor, lock in zip(self._processors, self._processing, strict=True):
            concurrent = getattr(processor, "concurrent", False)
            with nullcontext() if concurrent else lock:
                processor.process(batch)
        if watch is not None:
            watch.after(batch)

    def _found(
        self, frames: Sequence[EditableFrame], searched: Sequence[bool] | None
    ) -> tuple[list[FaceFrame], list[tuple[Face, ...]]]:
        """Look for faces: what processors get, and the faces of each frame.

        Args:
            frames: A batch.
            searched: Which of them are searched, None for all.
        """
        mine = frames if searched is None else list(compress(frames, searched))
        by_frame = dict(zip(map(id, mine), self._look(mine), strict=True))
        batch: list[FaceFrame] = []
        shown: list[tuple[Face, ...]] = []
        for frame in frames:
            pictures = frame.pictures
            found = by_frame.get(id(frame), [()] * len(pictures))
            batch += [
                FaceFrame(frame=picture, faces=faces, selected=self._select(picture, faces))
                for picture, faces in zip(pictures, found, strict=True)
            ]
            shown.append(found[0])
        return batch, shown

    def _look(self, frames: Sequence[EditableFrame]) -> list[list[tuple[Face, ...]]]:
        """Faces of each picture of each frame."""
        assert self._detector is not None
        pictures = [frame.pictures for frame in frames]
        with self._detecting:
            return _of_both_fields(pictures, self._detector)

    def _select(self, frame: EditableFrame, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        """Choose the faces that the job works on."""
        if self._job.settings.many_faces:
            return faces
        recogniser = self._recogniser
        if recogniser is None:
            return ()
        return select_faces(
            faces,
            references=np.array(self._job.references, dtype=np.float32),
            least_likeness=self._job.least_likeness,
            embed=lambda some: recogniser.embed(frame, some),
        )


def _by_frame(frames: Sequence[EditableFrame], batch: list[FaceFrame]) -> list[Pictures]:
    """The pictures of each frame."""
    rest = iter(batch)
    return [[next(rest) for _ in frame.pictures] for frame in frames]


def _of_table(
    frames: Sequence[EditableFrame], rows: Sequence[FrameFaces]
) -> tuple[list[FaceFrame], list[tuple[Face, ...]]]:
    """What processors get and the faces of each frame, from the rows of a table.

    Both fields of a frame have its faces.
    """
    batch = [
        FaceFrame(frame=picture, faces=row.faces, selected=row.selected)
        for frame, row in zip(frames, rows, strict=True)
        for picture in frame.pictures
    ]
    return batch, [row.faces for row in rows]


def _counts(found: Iterable[tuple[Face, ...]]) -> FaceCounts:
    """Count the faces of frames."""
    counts = FaceCounts()
    for faces in found:
        filled = sum(face.filled for face in faces)
        counts.faces += len(faces)
        counts.frames_without_face += not faces
        counts.faces_filled += filled
        counts.frames_filled += filled > 0
    return counts


def filled_counts(cover: GapCover) -> FaceCounts:
    """What faces that were put in add to the counts of a chunk."""
    return FaceCounts(
        faces=cover.faces,
        frames_without_face=-cover.frames_empty,
        faces_filled=cover.faces,
        frames_filled=cover.frames,
    )


def _of_both_fields(
    pictures: Sequence[Sequence[EditableFrame]], detector: FaceDetector
) -> list[list[tuple[Face, ...]]]:
    """Faces of each picture of each frame.

    A face that is found in one field only is there in the other one too: half of its lines would be
    left as they are.
    """
    found = iter(detect_faces(detector, [each for frame in pictures for each in frame]))
    by_frame = [[next(found) for _ in frame] for frame in pictures]
    return [
        [faces + _elsewhere(faces, of_frame) for faces in of_frame]
        if len(of_frame) > 1
        else of_frame
        for of_frame in by_frame
    ]


def _elsewhere(faces: tuple[Face, ...], fields: Sequence[tuple[Face, ...]]) -> tuple[Face, ...]:
    """Faces of the fields that overlap none of these."""
    others = [face for field in fields if field is not faces for face in field]
    boxes = np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)
    return tuple(
        face
        for face in others
        if not len(boxes) or float(shares(face.box_xyxy, boxes).max()) < _SAME_FACE
    )


def load_processors(names: Sequence[str]) -> list[FrameProcessor]:
    """Load the processors of a job, in order.

    Raises:
        SettingsError: A name is unknown or its class is incomplete.
    """
    return [load_processor(name) for name in names]


def open_recogniser(models: ModelStore, sessions: SessionSettings) -> Recogniser:
    """Load the recognition network.

    Raises:
        ModelError: Its file is missing or not of that kind.
    """
    path = models.find("recognizer").path
    try:
        return Recogniser(open_session(path, sessions.for_decisions()))
    except ModelError as error:
        raise ModelError(f"{path}: {error.message.removeprefix(f'{path}: ')}") from error


def open_observer(job: FaceJob, threads: int) -> Observer:
    """Load what an analysis pass needs.

    Raises:
        SetupError: A model is missing or a provider does not load.
    """
    if job.analysis is None:
        raise ValueError("the job has no analysis")
    sessions = SessionSettings(provider=job.provider, threads=threads)
    detector = open_detector(
        job.settings, job.models, sessions, landmarks=job.analysis.needs_landmarks
    )
    recogniser = open_recogniser(job.models, sessions) if job.analysis.recognises else None
    return Observer(detector, recogniser, job.analysis.detect_every)
