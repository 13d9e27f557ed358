"""Encoders that break, as drivers do: in the middle, or in silence.

They take the place of one encoder in this process. Not for: what listed hardware without a device
does, which any machine without one shows by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
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


def pretend_hardware(
    monkeypatch: pytest.MonkeyPatch, encoder: str = "h264_nvenc", fault: Fault | None = None
) -> FaultyEncoder:
    """Let a listed hardware encoder work in this process: x264 does it, with a fault."""
    created, options = encode._created, encode._local_options

    def pretended(choice: EncoderChoice) -> Any:
        real = choice.encoder != encoder
        return created(choice) if real else av.CodecContext.create("libx264", "w")

    def pretended_options(choice: EncoderChoice) -> dict[str, str]:
        if choice.encoder != encoder:
            return options(choice)
        quality = {"qp": "0"} if choice.lossless else {"crf": "12"}
        return quality | {"preset": "ultrafast", "x264-params": "open-gop=0"}

    monkeypatch.setattr(encode, "_created", pretended)
    monkeypatch.setattr(encode, "LIMITED_FAMILIES", frozenset())
    monkeypatch.setattr(encode, "_local_options", pretended_options)
    return break_encoder(monkeypatch, encoder, fault or (lambda _, frame: frame))


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
