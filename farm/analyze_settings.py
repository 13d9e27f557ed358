"""Settings of an analysis by itself, checked when made.

Not for: the analysis before a render (`farm.face_settings.AnalysisSettings`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    VideoStreamIndex,
    Workers,
)
from farm.options import Option, check_ranges
from farm.settings import ProcessorSettings, RenderSettings


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
    detector: Detector = "auto"
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

    def __post_init__(self) -> None:
        check_ranges(self)

    def as_render(self) -> RenderSettings:
        """The settings of a job that renders nothing."""
        return RenderSettings(
            target=self.target,
            output=self.output,
            overwrite=self.overwrite,
            processors=ProcessorSettings(names=("none",), detector=self.detector),
            analysis=self.analysis,
            video_encoder="ffv1",
            video_quality=0,
            video_stream=self.video_stream,
            models_dir=self.models_dir,
            models=self.models,
            allow_unverified_models=self.allow_unverified_models,
            execution_provider=self.execution_provider,
            same_provider=self.same_provider,
            execution_threads=self.execution_threads,
            max_memory_bytes=self.max_memory_bytes,
            workers=self.workers,
            chunk_seconds=self.chunk_seconds,
            address=self.address,
            job_dir=self.job_dir,
        )
