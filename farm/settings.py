"""Settings of one render, checked when made: what the user asked for and nothing else.

Functions take the numbers that they need; this record crosses only the borders between the command
line, the job and the manifest. Not for: facts about the machine or the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from farm.errors import SettingsError


class EncodeOn(StrEnum):
    """Where the output's video stream is encoded."""

    WORKER = "worker"
    """Each worker encodes its chunks; the final task joins them by stream copy."""
    FINAL = "final"
    """Workers write lossless intermediates; the final task encodes the whole in one stream."""


class VerifyLevel(StrEnum):
    """How much of the finished file is checked before it gets its name."""

    QUICK = "quick"
    FULL = "full"


class AnonymizeMethod(StrEnum):
    """What `face_anonymizer` puts over a face."""

    BLUR = "blur"
    PIXELATE = "pixelate"
    SOLID = "solid"


class MaskShape(StrEnum):
    """Outline of an anonymised region."""

    ELLIPSE = "ellipse"
    BOX = "box"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSettings:
    """What the frame processors need to know; part of the job's identity."""

    names: tuple[str, ...] = ("face_swapper",)
    many_faces: bool = False
    detector: str = "auto"
    """`auto`, `scrfd`, `yunet` or `cascade`."""
    anonymize_method: AnonymizeMethod = AnonymizeMethod.BLUR
    anonymize_shape: MaskShape = MaskShape.ELLIPSE
    anonymize_padding: float = 0.3
    """Share of the face box that is added on each side."""
    enhancer_blend: float = 0.8
    """Weight of the enhanced face, 0 to 1."""

    def __post_init__(self) -> None:
        _in_range("--anonymizer-padding", self.anonymize_padding, 0.0, 4.0)
        _in_range("--enhancer-blend", self.enhancer_blend, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSettings:
    """One `facefarm render`, as asked for."""

    target: Path
    output: Path
    sources: tuple[Path, ...] = ()
    processors: ProcessorSettings = field(default_factory=ProcessorSettings)
    execution_provider: str | None = None
    """Short name (`cuda`, `cpu` ...); None takes the best that the node really has."""
    execution_threads: int | None = None
    video_encoder: str = "libx264"
    video_quality: int = 18
    """0 (bit-exact lossless) to 51."""
    max_memory_bytes: int | None = None
    """Bound of one worker's frame queues and batches."""
    keep_audio: bool = True
    keep_frames: bool = False
    workers: int | None = None
    chunk_seconds: float | None = None
    encode_on: EncodeOn = EncodeOn.WORKER
    address: str | None = None
    job_dir: Path | None = None
    overwrite: bool = False
    video_stream: int | None = None
    """Index among all streams of the file; None takes the main video stream."""
    models_dir: Path | None = None
    models: tuple[tuple[str, Path], ...] = ()
    """`--model KIND=PATH` pairs, which stand before the models directory."""
    allow_unverified_models: bool = False
    verify: VerifyLevel = VerifyLevel.QUICK
    nsfw_filter: bool = False
    """Whether a classifier looks at targets and sources first."""
    c2pa_certificate: Path | None = None
    c2pa_key: Path | None = None

    def __post_init__(self) -> None:
        _in_range("--video-quality", self.video_quality, 0, 51)
        for name, value in (
            ("--execution-threads", self.execution_threads),
            ("--workers", self.workers),
        ):
            if value is not None:
                _in_range(name, value, 1, 1024)
        if self.chunk_seconds is not None and not self.chunk_seconds > 0:
            raise SettingsError(f"--chunk-seconds {self.chunk_seconds}: must be more than 0")


def _in_range(option: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside `low` to `high`, both allowed."""
    if not low <= value <= high:
        raise SettingsError(f"{option} {value}: must be between {low} and {high}")
