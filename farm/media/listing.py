"""Listing the frames of a file by one serial decode, where its index is not trusted.

Each decoded frame is known by the number of the packet that it came from, which travels through the
decoder in place of the packet's pts. Not for: rendering; only numbers are kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
from av.container import InputContainer
from av.frame import Frame
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.index import NO_PTS, VideoIndex, video_packets
from farm.media.limits import DECODER_OPTIONS
from farm.media.probe import open_container

_MOST_PLACES = 5
"""Places of change that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameListing:
    """What a serial decoder displays, in its order."""

    packets: NDArray[np.int64]
    """[n] number of the packet that each frame came from."""
    pts: NDArray[np.int64]
    """[n] ticks of those packets; `NO_PTS` where they have none."""
    corrupt: NDArray[np.bool_]
    """[n] decoded with errors."""
    failed_packets: tuple[int, ...]
    """Packets that the decoder refused."""


def list_frames(
    index: VideoIndex,
    progress: Callable[[int], None] | None = None,
    *,
    any_shape: bool = False,
) -> FrameListing:
    """Decode the whole stream once and list what it shows.

    Damaged files are decoded on one thread, so that error concealment is the same every time.

    Args:
        index: The index of the file.
        progress: Called with the number of frames listed so far, now and then.
        any_shape: Whether frames may have another size or format than the stream.

    Raises:
        MediaError: Nothing decodes, or the picture changes its size or format on the way; names the
            places.
    """
    packets, corrupt = array("q"), bytearray()
    shapes = _Shapes(index)
    failed: list[int] = []
    with open_container(index.path) as container:
        stream = _stream(container, index)
        stream.codec_context.thread_count = 1 if index.damage else 0
        stream.codec_context.options = DECODER_OPTIONS
        for frame in _decode(container, stream, failed):
            shapes.see(frame)
            packets.append(-1 if frame.pts is None else frame.pts)
            corrupt.append(frame.is_corrupt)
            if progress and len(packets) % 100 == 0:
                progress(len(packets))
    if not packets:
        raise MediaError(f"{index.path}: no frame of the video decodes; the file may be damaged")
    if not any_shape:
        shapes.check()
    numbers = np.array(packets, dtype=np.int64)
    return FrameListing(
        packets=numbers,
        pts=index.pts[numbers],
        corrupt=np.frombuffer(bytes(corrupt), dtype=np.bool_),
        failed_packets=tuple(failed),
    )


def shown_frames(index: VideoIndex) -> Iterator[VideoFrame]:
    """Yield the frames that a player shows, from the start, with the packet's number as pts.

    Damaged packets are passed over.
    """
    with open_container(index.path) as container:
        yield from _decode(container, _stream(container, index), [])


class _Shapes:
    """Where the picture changes its size or format."""

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        stream = index.stream
        self._first = self._last = (stream.width, stream.height, stream.pix_fmt)
        self._changes: list[str] = []
        self._count = 0

    def see(self, frame: VideoFrame) -> None:
        """Take the next frame into account."""
        here = (frame.width, frame.height, frame.format.name)
        if here == self._last:
            return
        self._last = here
        self._count += 1
        if self._count <= _MOST_PLACES:
            self._changes.append(f"{_shape(here)}{self._place(frame)}")

    def check(self) -> None:
        """Refuse a stream that changed.

        Raises:
            MediaError: It did; names the places.
        """
        if not self._count:
            return
        more = "" if self._count <= _MOST_PLACES else f" and {self._count - _MOST_PLACES} more"
        raise MediaError(
            f"{self._index.path}: the picture changes from {_shape(self._first)} to "
            f"{', '.join(self._changes)}{more}; give --on-change scale to bring all frames to the "
            "first size and format, or cut the file there"
        )

    def _place(self, frame: VideoFrame) -> str:
        pts = NO_PTS if frame.pts is None else int(self._index.pts[frame.pts])
        seconds = float(pts * self._index.stream.time_base)
        return "" if pts == NO_PTS else f" at {seconds:.2f} s"


def _shape(shape: tuple[int, int, str]) -> str:
    return f"{shape[0]}x{shape[1]} {shape[2]}"


def _stream(container: InputContainer, index: VideoIndex) -> VideoStream:
    """Return the indexed stream of the opened file, to be decoded on several threads."""
    stream = container.streams[index.stream_index]
    assert isinstance(stream, VideoStream)
    stream.codec_context.thread_type = "AUTO"
    return stream


def _decode(
    container: InputContainer, stream: VideoStream, failed: list[int]
) -> Iterator[VideoFrame]:
    """Yield every frame; the numbers of packets that fail go to `failed`."""
    number = 0
    try:
        for packet in video_packets(container, stream.index):
            packet.pts, packet.dts = number, None
            yield from _frames(packet.decode, number, failed)
            number += 1
    except av.FFmpegError:
        failed.append(number)
    yield from _frames(partial(stream.codec_context.decode, None), number, failed)


def _frames(
    decode: Callable[[], Sequence[Frame]], number: int, failed: list[int]
) -> Iterator[VideoFrame]:
    """Yield the frames of one packet, or note that it does not decode."""
    try:
        frames = decode()
    except av.FFmpegError:
        failed.append(number)
        return
    for frame in frames:
        assert isinstance(frame, VideoFrame)
        yield frame
