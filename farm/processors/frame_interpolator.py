"""Makes frames between two others with an optical-flow network (RIFE and its like).

Whole pictures go through the network as RGB of the stream's own matrix and range, padded to a
multiple of 32, large ones in tiles. Nothing is blended over a cut: there the nearer frame is shown.
Not for: deciding when frames are shown (`farm.media.retime`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.media.scene import is_cut
from farm.media.stream import ColorTags
from farm.media.tiles import tiled
from farm.media.whole import Rgb, read_rgb, write_rgb
from farm.models.entry import ModelKind
from farm.models.session import open_session
from farm.processors.base import FaceFrame, ProcessorContext

_MULTIPLE = 32
_KEPT = 2
"""Frames whose colours are kept: several are made between the same two."""
_PICTURE, _PAIR_AND_TIME = 3, 7
"""Channels of an input: one picture, or two pictures and the phase."""


class FrameInterpolator:
    """Makes the frame at any phase between two."""

    name: ClassVar[str] = "frame_interpolator"
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    needs_faces: ClassVar[bool] = False
    fails_closed: ClassVar[bool] = False

    def __init__(self) -> None:
        self._network: _Network | None = None
        self._read: list[tuple[VideoFrame, Rgb]] = []
        self._cut: tuple[VideoFrame, VideoFrame, bool] | None = None

    def check(self, context: ProcessorContext) -> None:
        """Load the network.

        Raises:
            ModelError: It is missing, or is no interpolator.
        """
        self._network = _load(context)

    def start(self, context: ProcessorContext) -> None:
        """Load the network."""
        self._network = _load(context)

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Touch nothing: frames of the source stay as they are."""

    def between(
        self, first: VideoFrame, second: VideoFrame, phase: float, color: ColorTags
    ) -> VideoFrame:
        """Make a frame.

        Args:
            first: The frame before it.
            second: The frame after it, of the same size and format.
            phase: Where it lies, 0 to 1.
            color: Tags of the stream.

        Raises:
            ModelError: The network gave values that are no numbers.
        """
        assert self._network is not None
        nearer = first if phase <= 1 / 2 else second
        one, two = self._rgb(first, color), self._rgb(second, color)
        if self._is_cut(first, second, one, two):
            return nearer
        made = self._network.run(one, two, phase)
        if not np.isfinite(made).all():
            raise ModelError(
                f"{self._network.name}: gave values that are no numbers: try "
                "--execution-provider cpu, or another model file"
            )
        return write_rgb(made, nearer, color)

    def _rgb(self, frame: VideoFrame, color: ColorTags) -> Rgb:
        """The colours of a frame, read once."""
        for known, rgb in self._read:
            if known is frame:
                return rgb
        found = read_rgb(frame, color)
        self._read = [*self._read[1 - _KEPT :], (frame, found)]
        return found

    def _is_cut(self, first: VideoFrame, second: VideoFrame, one: Rgb, two: Rgb) -> bool:
        """Whether a cut lies between two frames, looked at once."""
        if self._cut is None or self._cut[0] is not first or self._cut[1] is not second:
            self._cut = (first, second, is_cut(one, two))
        return self._cut[2]


def _load(context: ProcessorContext) -> _Network:
    file = context.models.find(ModelKind.INTERPOLATOR)
    return _Network(open_session(file.path, context.sessions), str(file.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """What the network wants of one input."""

    name: str
    channels: int
    """3 for a picture, 7 for all in one, 1 for the phase."""
    rank: int
    wide: bool
    """Whether the phase is wanted for every pixel."""
    dtype: type[np.float32] | type[np.float16]


class _Network:
    """A session, whichever of the usual signatures it has."""

    def __init__(self, session: Any, name: str) -> None:
        """Take an open session.

        Raises:
            ModelError: It is no interpolator.
        """
        self.name = name
        self._session = session
        self._inputs = [_input(each) for each in session.get_inputs()]
        kinds = [each.channels for each in self._inputs]
        shape = session.get_outputs()[0].shape
        if kinds not in ([3, 3, 1], [_PAIR_AND_TIME]) or len(shape) != 4:
            raise ModelError(
                f"{name}: is no frame interpolator: it must take two pictures [1, 3, height, "
                "width] and the phase, or all in one [1, 7, height, width], and give a picture"
            )
        fixed = session.get_inputs()[0].shape[2:]
        self._size = (fixed[0], fixed[1]) if all(isinstance(n, int) for n in fixed) else None

    def run(self, first: Rgb, second: Rgb, phase: float) -> Rgb:
        """The picture at a phase between two."""
        pair = np.concatenate([first, second], axis=2)
        return tiled(pair, lambda part: self._tile(part, phase), _MULTIPLE, self._size)

    def _tile(self, pair: NDArray[np.float32], phase: float) -> Rgb:
        planes = np.ascontiguousarray(pair.transpose(2, 0, 1)[None])
        feed, taken = {}, 0
        for each in self._inputs:
            if each.channels == _PICTURE:
                value = planes[:, taken : taken + _PICTURE]
                taken += _PICTURE
            else:
                value = _phase(each, phase, planes)
            feed[each.name] = np.ascontiguousarray(value, each.dtype)
        (out, *_) = self._session.run(None, feed)
        return np.ascontiguousarray(np.asarray(out[0], np.float32).transpose(1, 2, 0))


def _phase(each: _Input, phase: float, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The phase as an input wants it, or both pictures with it."""
    if each.channels == _PAIR_AND_TIME:
        time = np.full((1, 1, *planes.shape[2:]), phase, np.float32)
        return np.concatenate([planes, time], axis=1)
    size = planes.shape[2:] if each.wide else (1, 1)
    whole = np.full((1, 1, *size), phase, np.float32)
    return whole if each.rank == 4 else whole.reshape((1,) * each.rank)


def _input(given: Any) -> _Input:
    """Read what onnxruntime says of an input."""
    shape = list(given.shape)
    channels = shape[1] if len(shape) == 4 and isinstance(shape[1], int) else 1
    return _Input(
        name=given.name,
        channels=channels,
        rank=len(shape),
        wide=len(shape) == 4 and channels == 1 and shape[3] != 1,
        dtype=np.float16 if "float16" in given.type else np.float32,
    )
