"""What crosses the border to a worker and back: the job, one attempt at a chunk, its result.

Not for: carrying them out (`farm.render`) or deciding on them (`scheduler`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from farm.content import ContentScore
from farm.errors import ChunkError, FarmError
from farm.faces.casting import FrameFaces
from farm.faces.flicker import ChunkFlicker
from farm.faces.observe import Sight
from farm.media.decode import DecodeRequest
from farm.media.encoders import EncoderChoice
from farm.media.reshape import Reshape
from farm.media.stream import StreamParameters
from farm.meters import DeviceLoad
from farm.models.shipped import ModelSet
from farm.process import FaceJob
from farm.settings import HardwareDecode
from farm.spans import StageSpan


class LostFramesError(ChunkError):
    """Frames that the plan counts on do not decode, from wherever one begins."""


def chunk_name(chunk_index: int) -> str:
    """Return the file name of a finished chunk."""
    return f"{chunk_index:05d}.chunk"


def attempt_name(chunk_index: int, token: int) -> str:
    """Return the file name of an attempt at a chunk, until its result is accepted."""
    return f".{chunk_name(chunk_index)}.t{token:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSetup:
    """What a worker must know of the job, once; provider and threads are those of its seat."""

    stream: StreamParameters
    """The source's."""
    output: StreamParameters
    """As it is encoded; differs from the source's where another shape was asked for."""
    reshape: Reshape
    encoder: EncoderChoice
    frame_rate: Fraction | None
    fingerprint: str
    faces: FaceJob
    threads: int
    """Thread budget of the worker's networks."""
    decode_threads: int
    """At most; 0 lets the decoder choose."""
    chunk_dir: Path
    hardware_decode: HardwareDecode = HardwareDecode.OFF
    """Which device may decode the source."""
    frames_stay: bool = True
    """Whether frames may stay on the device where that can be; see `farm.staying`."""
    models: ModelSet | None = None
    """Models that a worker on a cluster was sent; None where it has those of `faces`."""
    folder_mark: str = ""
    """Proves to a worker that the folder which it sees is the job's; see `farm.files`."""
    memory_bytes: int | None = None
    """Bound of the frames in the worker's queues."""
    request: str = ""
    """Hash of what was asked for, whichever encoder does it; written into each chunk."""
    parameter_sets: bytes = b""
    """What every chunk must begin with to be joined; empty where the first one decides."""
    earlier_dir: Path | None = None
    """Chunks of this request by an encoder that broke; they are encoded again, not rendered."""
    frames_dir: Path | None = None
    """Where processed frames are kept as PNG, None for nowhere."""
    nsfw_filter: bool = False
    """Whether a classifier looks at some source frames before they are worked on."""
    analyse: bool = False
    """Whether the worker says which faces there are, and renders nothing."""


class Shown(NamedTuple):
    """What an output frame shows: positions among the chunk's source frames."""

    first: int
    second: int
    phase: float
    """0 for the first as it is; else how far towards the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """One attempt at one chunk."""

    chunk_index: int
    frame_start: int
    pts: tuple[int, ...]
    """Of each output frame, in ticks; names kept frames."""
    sources: tuple[int, ...]
    """Number of each wanted source frame, in display order: those that are shown, and before and
    after them those that processors asked to see."""
    owned: range
    """Positions among them of those that count as this chunk's."""
    shows: tuple[Shown, ...]
    """What each output frame shows."""
    request: DecodeRequest
    token: int | None = None
    """Of the attempt: its file is named by it, so that it never takes another's place; None for
    the chunk's own name."""
    keep: bool = False
    """Whether the frames are encoded as they are."""
    looks: tuple[int, ...] = ()
    """Positions of the source frames that the content filter looks at."""
    faces: tuple[FrameFaces, ...] | None = None
    """Of each wanted source frame, where the job reads them from a table."""

    @property
    def shown(self) -> range:
        """Positions of the source frames from the first to the last that an output frame shows."""
        return range(
            min(shown.first for shown in self.shows), max(shown.second for shown in self.shows) + 1
        )


@dataclass(slots=True, kw_only=True)
class ChunkResult:
    """What became of a chunk."""

    chunk_index: int
    frames: int = 0
    faces: int = 0
    frames_without_face: int = 0
    faces_filled: int = 0
    """Of the faces those that nobody saw there: they were put in between two sights."""
    frames_filled: int = 0
    """Frames that have such faces."""
    corrupt: list[int] = field(default_factory=list)
    """Numbers of its own source frames that decoded with errors."""
    fetch_s: float = 0.0
    """Waiting for packets."""
    decode_s: float = 0.0
    detect_s: float = 0.0
    process_s: float = 0.0
    encode_s: float = 0.0
    touched: int = 0
    """Frames of which a processor changed a pixel."""
    on_device: int = 0
    """Frames that stayed on the device from the decoder to the encoder."""
    bytes: int = 0
    token: int | None = None
    """Of the attempt that made it."""
    sha256: str = ""
    """Of the chunk file."""
    kept: bool = False
    """Whether the frames are those of the source, because no attempt could process them."""
    content: ContentScore = field(default_factory=ContentScore)
    """Of the source frames that the content filter looked at."""
    sights: list[Sight] = field(default_factory=list)
    """Of an analysis: what its own source frames show."""
    flicker: ChunkFlicker = field(default_factory=ChunkFlicker)
    """Of the faces that were replaced."""
    spans: dict[str, StageSpan] = field(default_factory=dict)
    """When each stage was at work, by its name: fetch, decode, process, encode, store."""
    cpu_s: float = 0.0
    """Processor time of the worker since its chunk before."""
    peak_memory_bytes: int = 0
    """Largest resident size of the worker so far."""
    load: DeviceLoad | None = None
    notes: list[str] = field(default_factory=list)
    """What the worker warned of while it rendered this chunk."""


def chunk_error(chunk_index: int, stage: str, error: Exception) -> Exception:
    """Name the chunk and stage of an error that does not do so itself."""
    if isinstance(error, FarmError):
        return error
    found = ChunkError(f"chunk {chunk_index:05d}: {stage} failed ({type(error).__name__}: {error})")
    found.__cause__ = error
    return found
