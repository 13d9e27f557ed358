"""Encoders that break, as drivers do: in the middle, or in silence.

They take the place of one encoder in this process. Not for: what listed hardware without a device
does, which any machine without one shows by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from av.video.frame import VideoFrame

from farm.errors import EncoderError
from farm.media import encode
from farm.media.encode import ChunkEncoder
from farm.media.encoders import EncoderChoice

Fault = Callable[[int, VideoFrame], VideoFrame]
"""Gets how many frames the encoder was given before, and the next; returns what is encoded."""


@dataclass(slots=True)
class FaultyEncoder:
    """Counts the frames that one encoder was given in this process, over all its chunks."""

    fault: Fault
    given: int = 0

    def next(self, frame: VideoFrame) -> VideoFrame:
        self.given += 1
        return self.fault(self.given - 1, frame)


def break_encoder(monkeypatch: pytest.MonkeyPatch, encoder: str, fault: Fault) -> FaultyEncoder:
    """Let every encoder of this name have a fault, counted over all of them."""
    faulty = FaultyEncoder(fault)
    drain = ChunkEncoder._drain

    def broken(self: ChunkEncoder, frame: VideoFrame | None) -> object:
        choice: EncoderChoice = self._choice
        if frame is not None and choice.encoder == encoder:
            frame = faulty.next(frame)
        return drain(self, frame)

    monkeypatch.setattr(encode.ChunkEncoder, "_drain", broken)
    return faulty


def dying(after: int) -> Fault:
    """The driver is gone after so many frames, for good."""

    def fault(number: int, frame: VideoFrame) -> VideoFrame:
        if number >= after:
            raise EncoderError("the driver is gone")
        return frame

    return fault


def going_green(after: int) -> Fault:
    """Pictures are green after so many frames, and no error is raised."""

    def fault(number: int, frame: VideoFrame) -> VideoFrame:
        if number < after:
            return frame
        green = VideoFrame(frame.width, frame.height, frame.format.name)
        for plane in green.planes:
            plane.update(bytes(plane.buffer_size))
        green.pts, green.time_base = frame.pts, frame.time_base
        return green

    return fault
