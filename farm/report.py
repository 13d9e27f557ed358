"""What a render did, as data: the summary, `--json` and the manifest are made from these records.

Not for: printing (`cli`) or measuring (`farm.spans`, `farm.meters`).
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
    FETCH = "fetch"
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
    frames_on_device: int = 0
    """Of its frames, those that stayed on the device from the decoder to the encoder."""
    why_in_memory: str = ""
    """Why the others went through memory, as far as that was known at its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """When one stage of a chunk was at work."""

    begin_s: float
    """Seconds since the render stage began."""
    end_s: float
    busy_s: float
    """Of the time between, not waiting for input or for room behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkReport:
    """One rendered chunk as it went through its worker."""

    chunk_index: int
    worker: str
    frame_start: int
    frames: int
    faces: int
    bytes: int
    cpu_s: float
    """Processor time of the worker since its chunk before."""
    peak_memory_bytes: int
    """Largest resident size of the worker so far."""
    stages: dict[str, StageTime]
    """By name: fetch, decode, process, encode, store."""
    attempts: int = 1
    """How often it was sent to a worker."""
    device_use: float | None = None
    """Share of the time in which a GPU of the worker was busy; None without one."""
    device_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAttempt:
    """An attempt at a chunk that had to be repeated."""

    chunk_index: int
    worker: str
    node: str
    outcome: str
    """`lost` or `stopped` with its worker, `failed`, or what the decoder asked for."""
    seconds: float
    """Of its worker that it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTime:
    """Where the time of the workers' places went, beside rendering."""

    places_s: float = 0.0
    """Wall clock of rendering, added up over the places of workers."""
    starting_s: float = 0.0
    """Until they were given their first chunks."""
    lost_s: float = 0.0
    """In attempts that came to nothing, and until somebody took the place of a lost worker."""


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
class OtherSettings:
    """A stretch of the output that was rendered again with settings of its own."""

    frame_start: int
    frame_stop: int
    """Half-open, in output frames."""
    altered_by: tuple[str, ...]
    """Its processors that change pictures."""
    different: tuple[str, ...]
    """Each option that was not as in the rest, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """The outcome of one finished render."""

    output: Path
    frames: int
    faces: int
    frames_without_face: int
    faces_filled: int = 0
    """Of the faces those that nobody saw there: they were put in between two sights."""
    frames_filled: int = 0
    """Frames that have such faces."""
    chunks: int
    encoder: str
    pix_fmt: str
    provider: str
    detector: str
    frame_rate: float = 0.0
    """Mean frames per second of the output; 0 for images."""
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
    chunk_reports: tuple[ChunkReport, ...] = ()
    """Of the chunks that this run rendered."""
    private: bool
    """Whether faces were to be hidden: then nothing may show what they were."""
    lost_attempts: tuple[LostAttempt, ...] = ()
    """Attempts that had to be repeated, in order."""
    began_s: float = 0.0
    """When the job began, in seconds since 1970."""
    start_s: dict[str, float] = field(default_factory=dict)
    """Seconds from there to the first frame in work, by part, one after another."""
    worker_time: WorkerTime = field(default_factory=WorkerTime)
    bottleneck: str = ""
    """What held the render up, and what would help."""
    flicker: FlickerReport | None = None
    """None where no face was replaced in two neighbouring frames."""
    damage: tuple[Damage, ...] = ()
    kept: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of output frames that no attempt could render: they are the source's."""
    other_settings: tuple[OtherSettings, ...] = ()
    """Stretches that `jobs rerender` made with settings of their own."""
    gaps: tuple[Gap, ...] = ()
    """Stretches in which somebody vanishes and returns; only where a face table was read."""
    notes: tuple[str, ...] = ()
    """Everything that was said aloud: fallbacks, streams left out, losses of format."""
