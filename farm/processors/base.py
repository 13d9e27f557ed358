"""The contract between the farm and its frame processors.

A processor is a small class that is found by name through the entry point group
`facefarm.processors`. It is checked on the driver before anything starts, started once per worker,
and then given batches of frames with their faces, which it edits in place. Where its class says
`concurrent = True`, two threads may call `process` at a time, which keeps a GPU busy.
Not for: detection (runs once per frame for all processors) or decoding and encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from av.video.frame import VideoFrame

from farm.faces.face import Face
from farm.faces.parse import FaceParser, VisibleFace
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from farm.models.session import SessionSettings
from farm.models.store import ModelStore
from farm.settings import ProcessorSettings


@dataclass(slots=True, kw_only=True)
class FaceFrame:
    """One frame on its way through the processors."""

    frame: EditableFrame
    faces: tuple[Face, ...]
    """Every face that the detector found, largest first."""
    selected: tuple[Face, ...]
    """The faces that the job decided to work on; all of them with `--many-faces`."""
    lead: bool = False
    """Whether it is only to be looked at: a neighbour of the frames that are to be edited."""
    visible: dict[bytes, VisibleFace] = field(default_factory=dict)
    """What is to be seen of its faces, by their landmarks, once a processor has looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorContext:
    """What a processor may use when it is checked or started."""

    settings: ProcessorSettings
    models: ModelStore
    sessions: SessionSettings
    source_embedding: tuple[float, ...] | None = None
    """[512] unit length: the person to put into the video; None where no source was given."""
    more_sources: tuple[tuple[float, ...], ...] = ()
    """Further persons; a face says whom it gets by `Face.source`, from 0."""
    frame_size: tuple[int, int] | None = None
    """Upright width and height of the video, None when not known yet."""
    parsers: list[FaceParser] = field(default_factory=list, compare=False)
    """The face parser, once a processor has loaded it; the others of a worker take it, too."""


class FrameProcessor(Protocol):
    """One kind of work on faces.

    A processor may say more of itself: `needs_faces = False` where nobody need look for faces, and
    `between` where it makes frames (`FrameMaker`). With `lead_in` and `lead_out` it asks to see so
    many frames before and after those that it edits: `process` then gets them in front of and
    behind the others, marked as `lead`, as the processor before it gave them. At the ends of the
    video there are fewer. What comes out must not depend on more frames than that. Where its class
    says `needs_pictures = False`, only their faces are right, which saves a copy of each picture.
    """

    name: ClassVar[str]
    """The name on the command line."""
    needs_source: ClassVar[bool]
    """Whether `--source` must be given."""
    needs_landmarks: ClassVar[bool]
    """Whether the detector must find the five landmarks."""
    fails_closed: ClassVar[bool]
    """Whether a frame must never pass unprocessed (anonymisers)."""

    def check(self, context: ProcessorContext) -> None:
        """See that models and options are there, before anything starts.

        Raises:
            ModelError: A model is missing or of the wrong kind.
            SettingsError: Options contradict each other.
        """

    def start(self, context: ProcessorContext) -> None:
        """Load models; called once per worker, before the first batch."""

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Edit the frames of `batch` in place; how frames are batched must not show."""


@runtime_checkable
class FrameMaker(Protocol):
    """A processor that makes frames between others, when all processors have worked on those."""

    def start(self, context: ProcessorContext) -> None:
        """Load models; called once per worker."""

    def between(
        self, first: VideoFrame, second: VideoFrame, phase: float, color: ColorTags
    ) -> VideoFrame:
        """Make a frame; the same two frames and phase give the same frame, whatever came before.

        Args:
            first: The frame before it; stays as it is.
            second: The frame after it, of the same size and format; stays as it is.
            phase: Where it lies, 0 to 1.
            color: Tags of the stream.
        """
