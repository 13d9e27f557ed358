"""What is decided once per job, on the driver: who goes into the video and who is worked on.

Deciding per chunk would let chunks differ. Not for: the work itself (`farm.process`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import SettingsError
from farm.face_map import MapEntry, read_map
from farm.face_settings import (
    COVERED_GAP_FRAMES,
    AnalysisSettings,
    FaceSelector,
    SelectionSettings,
)
from farm.faces.cascade import NOTE as CASCADE_NOTE
from farm.faces.detect import choose_model
from farm.faces.table_file import TableDocument, read_table
from farm.faces.turned import open_detector
from farm.looker import Looker
from farm.media.index import VideoIndex
from farm.models.session import PROVIDERS, choose_provider
from farm.models.store import ModelFile, ModelStore
from farm.process import AnalysisJob, FaceJob, load_processors, open_recogniser
from farm.processors.base import FrameProcessor
from farm.processors.models import model_kinds
from farm.processors.registry import needs_faces
from farm.settings import ProcessorSettings
from farm.who import NOBODY_NOTE, Person, Wanted

GAPS_NOTE = (
    "faces that are lost for up to {} frames between two sights are covered there too; a longer "
    "gap is not: `facefarm analyze` lists them"
)
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
        known = None if selection.map_faces is None else read_map(selection.map_faces)
        self._entries = known.entries if known is not None else ()
        asked = analysis.is_asked or (self._chooses and selection.needs_table)
        self._in_advance = asked and self._table is None
        self._detect_every = analysis.detect_every
        private = any(p.fails_closed for p in processors)
        usual = COVERED_GAP_FRAMES if private else 0
        self._fill_gaps = usual if analysis.fill_gaps is None else analysis.fill_gaps
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
        kinds = model_kinds([p.name for p in self._processors], self._job.settings)
        files = [models.find(kind) for kind in kinds]
        if not any(needs_faces(p) for p in self._processors):
            return _decision(self._job, "none", files, self._processors, ())
        job, looker, notes = self._job, self._looker(models), []
        if any(p.needs_source for p in self._processors):
            job = self._with_sources(job, looker, sources)
        people = self._people(looker) if self._chooses else ()
        recognises = self._chooses and self._table is None
        if not self._in_advance and recognises:
            references = [each.reference for each in people if each.reference is not None]
            if not references:
                references = list(looker.first_person(index, self._selection.order, progress))
                notes += [] if references else [NOBODY_NOTE]
            job = replace(job, references=tuple(references))
        job = replace(
            job,
            reads_table=self._in_advance or self._table is not None,
            cover_gaps=0 if self._in_advance or self._table is not None else self._fill_gaps,
            analysis=self._analysis(recognises) if self._in_advance else None,
        )
        if self._table is None:
            looker.load(recognises=recognises)
        name = "the face table" if self._table is not None else looker.detector_name
        notes += looker.notes
        notes += [CASCADE_NOTE] if looker.detector_name == "cascade" else []
        notes += [GAPS_NOTE.format(job.cover_gaps)] if job.cover_gaps else []
        decision = _decision(job, name, [*files, *looker.files], self._processors, tuple(notes))
        return replace(
            decision,
            table=self._table,
            wanted=Wanted(
                everyone=not self._chooses,
                people=people,
                least_likeness=self._selection.least_likeness,
                needs_landmarks=self._landmarks,
            ),
        )

    def _looker(self, models: ModelStore) -> Looker:
        return Looker(
            self._job.settings,
            models,
            self._context.sessions,
            needs_landmarks=self._landmarks,
            number=self._selection.source_face,
        )

    def _analysis(self, recognises: bool) -> AnalysisJob:
        return AnalysisJob(
            detect_every=self._detect_every,
            needs_landmarks=self._landmarks,
            recognises=recognises,
            fill_gaps=self._fill_gaps,
        )

    def _with_sources(self, job: FaceJob, looker: Looker, sources: Sequence[Path]) -> FaceJob:
        """The job with the embeddings of all who are put in."""
        groups = [each.sources for each in self._entries] or [tuple(sources)]
        first, *more = [looker.embedding(group, "--source") for group in groups]
        return replace(job, source_embedding=first, more_sources=tuple(more))

    def _people(self, looker: Looker) -> tuple[Person, ...]:
        """Who is looked for."""
        selection = self._selection
        if self._entries:
            return tuple(self._mapped(i, each, looker) for i, each in enumerate(self._entries))
        if selection.reference_faces:
            return tuple(
                Person(
                    asked=f"--reference-face {path}",
                    reference=looker.embedding([path], "--reference-face"),
                )
                for path in selection.reference_faces
            )
        at_s = selection.reference_at
        asked = "--face-selector one" if at_s is None else f"--reference-at {at_s:g}"
        number = selection.reference_number
        return (Person(asked=asked, order=selection.order, at_s=at_s, number=number),)

    def _mapped(self, place: int, entry: MapEntry, looker: Looker) -> Person:
        """Who an entry of a map of faces means."""
        reference = None
        if entry.references:
            reference = looker.embedding(entry.references, "reference")
        return Person(
            asked=entry.where,
            source=place,
            reference=reference,
            person=entry.person,
            order=entry.order,
            at_s=entry.at_s,
            number=entry.number,
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
            detect_every=analysis.detect_every,
            needs_landmarks=recognises,
            recognises=recognises,
            fill_gaps=analysis.fill_gaps or 0,
        ),
    )
    sessions = job.context(threads=1).sessions
    detector = open_detector(settings, models, sessions, landmarks=recognises)
    if recognises:
        open_recogniser(models, sessions)  # What is wrong with it is said before workers start.
    notes = (CASCADE_NOTE,) if model is None else ()
    return _decision(job, detector.name, files, (), notes)
