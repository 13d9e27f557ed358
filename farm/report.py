"""What a render did, as data: the summary, `--json` and the manifest are made from these records.

Not for: printing (`cli`) or measuring (`farm.metrics`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path


class Stage(StrEnum):
    """Stages whose seconds are added up; over all workers, so they may exceed the wall clock."""

    INDEX = "index"
    START = "start"
    DECIDE = "decide"
    ANALYSE = "analyse"
    DECODE = "decode"
    DETECT = "detect"
    PROCESS = "process"
    ENCODE = "encode"
    FINAL = "final"
    VERIFY = "verify"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One place of the source that did not decode as it should."""

    time_s: Fraction
    """Seconds from the first displayed frame."""
    frames_lost: int
    """Frames that are missing there; 0 where a frame decoded with errors."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which a track vanishes and behind which it returns: look there yourself."""

    track: int
    frame_start: int
    frame_stop: int
    """Half-open: the frames without the face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What one worker did."""

    worker: str
    node: str
    provider: str
    """The execution provider that ran (`CPUExecutionProvider` ...), "none" without models."""
    threads: int
    chunks: int
    frames: int
    peak_memory_bytes: int
    devices: str = ""
    """GPUs that it saw, as CUDA_VISIBLE_DEVICES says it; empty where it was not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlickerReport:
    """How much replaced faces flicker, in levels of 0..255, the source's own motion taken out."""

    inside: float
    """Mean over pairs of neighbouring frames inside chunks."""
    inside_pairs: int
    borders: float
    """Mean over pairs at the borders between chunks."""
    border_pairs: int

    @property
    def raised(self) -> bool:
        """Whether borders flicker clearly more than the inside."""
        known = self.inside_pairs > 0 and self.border_pairs > 0
        return known and self.borders > 2 * self.inside + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """The outcome of one finished render."""

    output: Path
    frames: int
    faces: int
    frames_without_face: int
    chunks: int
    encoder: str
    pix_fmt: str
    provider: str
    detector: str
    stage_s: dict[str, float]
    """Seconds by `Stage`; `total` is wall clock."""
    fps: float
    """Output frames per wall-clock second of the render stage."""
    peak_memory_bytes: int
    """Sum of the proportional set sizes of driver, workers and Ray at its highest sample."""
    input_sha256: str
    output_sha256: str
    model_sha256: dict[str, str] = field(default_factory=dict)
    model_licence: dict[str, str] = field(default_factory=dict)
    """Licence of each model in `model_sha256`, which the result comes under too."""
    workers: tuple[WorkerReport, ...] = ()
    flicker: FlickerReport | None = None
    """None where no face was replaced in two neighbouring frames."""
    damage: tuple[Damage, ...] = ()
    gaps: tuple[Gap, ...] = ()
    """Stretches in which somebody vanishes and returns; only where a face table was read."""
    notes: tuple[str, ...] = ()
    """Everything that was said aloud: fallbacks, streams left out, losses of format."""
