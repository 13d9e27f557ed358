"""The decoded frames of a chunk, ready to be looked at and edited: the first stage of a worker.

Not for: what follows (`farm.render`, `farm.analyse`) or the decoder itself (`farm.media.decode`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from av.video.frame import VideoFrame

from farm.chunk_task import ChunkResult, ChunkTask, LostFramesError, RenderSetup
from farm.media.decode import ChunkDecoder
from farm.media.device_frame import DeviceFrame
from farm.media.fields import editable
from farm.media.frame import EditableFrame
from farm.media.frame_device import FrameDevice
from farm.media.layout import editable_pix_fmt
from farm.media.packets import PacketBlock
from farm.media.reshape import deinterlaced, steady
from farm.media.stream import StreamParameters
from farm.settings import OnChange

Blocks = Callable[[int], Iterable[PacketBlock]]
"""Gives the packet blocks from a packet on."""


class FrameSource:
    """Decodes one chunk after another; belongs to one thread."""

    def __init__(
        self, setup: RenderSetup, *, edits: bool, stays: FrameDevice | None = None
    ) -> None:
        """Take the job.

        Args:
            setup: The job.
            edits: Whether frames are read or edited, so that their format must allow it.
            stays: Where frames may stay after decoding; None brings them to memory.
        """
        self._setup = setup
        self._edits = edits
        self._stays = stays
        any_shape = setup.reshape.on_change is OnChange.SCALE
        self._decoder = ChunkDecoder(
            setup.stream,
            setup.decode_threads,
            any_shape=any_shape,
            hardware=setup.hardware_decode,
            stays=stays,
        )

    def frames(
        self, task: ChunkTask, blocks: Blocks, result: ChunkResult
    ) -> Iterator[EditableFrame]:
        """Yield the wanted frames of a chunk, in display order.

        Seconds and damage go into `result`; the time in which nobody takes a frame does not count.

        Raises:
            NeedEarlierError: Earlier packets may help.
            LostFramesError: A frame does not decode at all.
        """
        decoded = self._decoded(task, blocks, result)
        if self._setup.reshape.deinterlace:
            decoded = deinterlaced(decoded)
        while True:
            started = time.perf_counter()
            frame = next(decoded, None)
            result.decode_s += time.perf_counter() - started
            if frame is None:
                return
            yield self._editable(frame)

    def close(self) -> None:
        """Forget the decoder's state, after a chunk that was not taken to its end."""
        self._decoder.close()

    def _decoded(
        self, task: ChunkTask, blocks: Blocks, result: ChunkResult
    ) -> Iterator[VideoFrame]:
        """Yield the frames in the size and format of the stream."""
        for decoded in self._decoder.decode(task.request, blocks):
            number = task.sources[decoded.position]
            if decoded.frame is None:
                raise LostFramesError(
                    f"chunk {task.chunk_index:05d}: frame {number} does not decode"
                )
            if decoded.frame.is_corrupt and decoded.position in task.owned:
                result.corrupt.append(number)
            yield self._steady(decoded.frame)

    def _steady(self, frame: VideoFrame) -> VideoFrame:
        """The frame as the job needs it, on the device only as long as that works."""
        if self._stays is None or not self._stays.holds(frame):
            return steady(frame, self._setup.stream)
        if frame.interlaced_frame:
            raise self._stays.give_up("a frame is interlaced")
        return frame if self._stays.alive else self._stays.brought(frame)

    def _editable(self, frame: VideoFrame) -> EditableFrame:
        stream = self._setup.stream
        if self._stays is not None and self._stays.holds(frame):
            return DeviceFrame(
                frame,
                self._stays,
                rotation=stream.rotation,
                flipped=stream.flipped,
                color=stream.color,
            )
        return as_editable(frame, stream, edits=self._edits)


def as_editable(
    frame: VideoFrame, stream: StreamParameters, *, edits: bool = True
) -> EditableFrame:
    """The frame for looking and editing, in a format that allows it where it is edited."""
    if edits:
        # Threads of swscale may write over the rows of their neighbours: not the same each time.
        pix_fmt = editable_pix_fmt(frame.format.name)
        frame = frame if pix_fmt == frame.format.name else frame.reformat(format=pix_fmt, threads=1)
    return editable(frame, rotation=stream.rotation, flipped=stream.flipped, color=stream.color)
