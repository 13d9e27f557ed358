"""Settings of commands that only look at the faces of a clip, checked when made.

Not for: the analysis before a render (`farm.face_settings.AnalysisSettings`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

from farm.face_settings import AnalysisSettings
from farm.farm_options import (
    Address,
    AllowUnverified,
    ChunkSeconds,
    Detector,
    JobDir,
    MaxMemory,
    Models,
    ModelsDir,
    Overwrite,
    Provider,
    SameProvider,
    Threads,
    TurnedFaces,
    VideoStreamIndex,
    Workers,
)
from farm.limit_settings import LimitSettings
from farm.options import Option, check_ranges
from farm.settings import ProcessorSettings, RenderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSettings:
    """With what and where it is looked."""

    detector: Detector = "auto"
    turned_faces: TurnedFaces = False
    video_stream: VideoStreamIndex = None
    models_dir: ModelsDir = None
    models: Models = ()
    allow_unverified_models: AllowUnverified = False
    execution_provider: Provider = None
    same_provider: SameProvider = False
    execution_threads: Threads = None
    max_memory_bytes: MaxMemory = None
    workers: Workers = None
    chunk_seconds: ChunkSeconds = None
    address: Address = None
    job_dir: JobDir = None
    limits: LimitSettings = field(default_factory=LimitSettings)

    def __post_init__(self) -> None:
        check_ranges(self)

    def as_render(
        self, target: Path, output: Path, overwrite: bool, analysis: AnalysisSettings
    ) -> RenderSettings:
        """The settings of a job that renders nothing."""
        shared = {each.name: getattr(self, each.name) for each in fields(self)}
        detector, turned = shared.pop("detector"), shared.pop("turned_faces")
        return RenderSettings(
            target=target,
            output=output,
            overwrite=overwrite,
            processors=ProcessorSettings(names=("none",), detector=detector, turned_faces=turned),
            analysis=analysis,
            video_encoder="ffv1",
            video_quality=0,
            **shared,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeSettings:
    """One `facefarm analyze`, as asked for."""

    target: Annotated[Path, Option(positional=True, help="Video to look at.")]
    output: Annotated[Path, Option(short="o", help="Face table to write, like faces.json.")]
    overwrite: Overwrite = False
    recognize: Annotated[
        bool, Option(help="Also say who is who; needs landmarks and a recognizer.")
    ] = False
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    look: LookSettings = field(default_factory=LookSettings)

    def as_render(self) -> RenderSettings:
        """The settings of a job that renders nothing."""
        return self.look.as_render(self.target, self.output, self.overwrite, self.analysis)


@dataclass(frozen=True, slots=True, kw_only=True)
class FacesSettings:
    """One `facefarm faces`, as asked for."""

    target: Annotated[Path, Option(positional=True, help="Video to look at.")]
    folder: Annotated[
        Path,
        Option(name="output", short="o", help="Folder for table, map and contact sheet."),
    ]
    overwrite: Overwrite = False
    cover: Annotated[
        bool, Option(help="Cover the faces in the contact sheet, for work on privacy.")
    ] = False
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    look: LookSettings = field(default_factory=LookSettings)

    @property
    def table(self) -> Path:
        """Where the face table is written."""
        return self.folder / "faces.json"

    @property
    def map(self) -> Path:
        """Where the map of faces is written."""
        return self.folder / "map.toml"

    @property
    def sheet(self) -> Path:
        """Where the contact sheet is written."""
        return self.folder / "people.png"

    def as_render(self) -> RenderSettings:
        """The settings of a job that renders nothing."""
        return self.look.as_render(self.target, self.table, self.overwrite, self.analysis)
