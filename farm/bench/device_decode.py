"""Decoding on a GPU alone: frames brought to memory, frames that stay, frames that are looked at.

Not for: the pipeline around it (`cluster.bench_gpu`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

from farm.errors import FarmError
from farm.media.device_decoder import DeviceDecoder
from farm.media.frame_device import LAYOUTS, FrameDevice
from farm.media.index import VideoIndex, build_index
from farm.media.packets import PacketReader
from farm.media.stream import StreamParameters

_DETECTOR_PX = 640
_WAYS = ("brought to memory", "on the device", "on the device, looked at")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSpeed:
    """How fast frames come out of NVDEC in one way."""

    name: str
    per_second: float = 0.0
    problem: str = ""
    """Why there is no number."""


def decode_speeds(clip: Path) -> list[DecodeSpeed]:
    """Measure each way on a whole clip."""
    index = build_index(clip)
    return [_speed(index, way) for way in _WAYS]


def _speed(index: VideoIndex, way: str) -> DecodeSpeed:
    name = f"NVDEC, frames {way}"
    try:
        look, decoder = _opened(index.stream, way)
        began = time.perf_counter()
        count = 0
        for packet in _packets(index):
            for frame in decoder.decode(packet):
                look(frame)
                count += 1
    except FarmError as error:
        return DecodeSpeed(name=name, problem=error.message)
    return DecodeSpeed(name=name, per_second=count / (time.perf_counter() - began))


def _opened(
    stream: StreamParameters, way: str
) -> tuple[Callable[[VideoFrame], object], DeviceDecoder]:
    """What looks at each frame, and the decoder."""
    if way == _WAYS[0]:
        return _leave, DeviceDecoder(stream, "cuda")
    if stream.pix_fmt not in LAYOUTS:
        raise FarmError(f"{stream.pix_fmt} is neither NV12 nor P010 on a device")
    device = FrameDevice(stream.pix_fmt, (stream.width, stream.height))
    decoder = DeviceDecoder(stream, "cuda", device)
    if way == _WAYS[1]:
        return _leave, decoder
    ratio = min(1.0, _DETECTOR_PX / max(device.size))
    size = (round(device.size[0] * ratio), round(device.size[1] * ratio))

    def look(frame: VideoFrame) -> None:
        device.averaged(frame, size, 3)
        device.signatures(frame)

    return look, decoder


def _leave(frame: VideoFrame) -> None:
    """Do nothing with a frame."""


def _packets(index: VideoIndex) -> Iterator[Packet[Any] | None]:
    """All packets, and the end."""
    with PacketReader(index) as reader:
        for number in reader.blocks_of(0, len(index)):
            for _, packet in reader.read(number).packets(0, len(index)):
                yield packet
    yield None
