"""Decoding on devices that behave, and on such that do not; PyAV's context is imitated.

What the fake gives is what a device gives once its frames are in memory: NV12 or P010. No device
was at hand to run the true one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import pytest
from av.codec.hwaccel import hwdevices_available
from av.packet import Packet
from av.video.frame import VideoFrame

from farm.media import device_decoder, hardware_decode
from farm.media.decode import ChunkDecoder, DecodeRequest
from farm.media.device_runs import DeviceError
from farm.media.frame_device import LAYOUTS, FrameDevice
from farm.media.index import VideoIndex, build_index
from farm.media.open_decoder import open_decoder
from farm.media.packets import PacketBlock, PacketReader
from farm.media.plan import plan_frames
from farm.media.planes import plane_lines
from farm.media.stream import StreamParameters
from farm.settings import HardwareDecode
from tests.media_maker import Studio, frame_md5, serial_frames

CHUNK = 20
Fault = Callable[[int, VideoFrame], VideoFrame | None]
"""Gets how many frames came before; returns what the device shows, None for nothing."""


@dataclass(slots=True)
class FakeDevice:
    """Stands for a device: decodes by software into the layout of devices, with a fault."""

    stream: StreamParameters
    fault: Fault = lambda _, frame: frame
    shown: int = 0
    opened: list[str] = field(default_factory=list)

    def create(self, decoder: str, device: str) -> FakeContext:
        self.opened.append(f"{decoder} on {device}")
        return FakeContext(self)

    def create_around(self, decoder: str, stays: FrameDevice) -> FakeContext:
        stays.warm_up()
        self.opened.append(f"{decoder} staying")
        return FakeContext(self)


class FakeContext:
    """As `VideoCodecContext` with a device: attributes are set, then packets are decoded."""

    is_hwaccel = True

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self._real = open_decoder(device.stream, 1)

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        found = []
        for frame in self._real.decode(packet):
            layout = frame.reformat(format=LAYOUTS[frame.format.name], threads=1)
            shown = self._device.fault(self._device.shown, layout)
            self._device.shown += 1
            found += [] if shown is None else [shown]
        return found


def green(after: int) -> Fault:
    def fault(number: int, frame: VideoFrame) -> VideoFrame:
        if number >= after:
            frame.make_writable()
            plane_lines(frame, 0)[:] = 0
        return frame

    return fault


def losing(after: int) -> Fault:
    return lambda number, frame: None if number == after else frame


def dying(after: int) -> Fault:
    def fault(number: int, frame: VideoFrame) -> VideoFrame:
        if number >= after:
            raise av.ExternalError(1, "the device is gone")
        return frame

    return fault


def renumbering(number: int, frame: VideoFrame) -> VideoFrame:
    frame.pts = (frame.pts or 0) + 1
    return frame


@pytest.fixture
def fake(media_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    device = FakeDevice(build_index(media_studio.path("plain.mp4")).stream)
    play(device, monkeypatch)
    return device


def play(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it in the place of NVDEC."""
    monkeypatch.setattr(device_decoder, "_created", device.create)
    monkeypatch.setattr(device_decoder, "_created_around", device.create_around)
    monkeypatch.setattr(hardware_decode, "hwdevices_available", lambda: ["cuda"])


def played_by_memory(stream: StreamParameters) -> FrameDevice:
    """Where frames of the fake stay."""
    layout = LAYOUTS[stream.pix_fmt]
    size = (stream.width, stream.height)
    return FrameDevice(stream.pix_fmt, size, provider="cpu", frame_format=layout)


@dataclass(slots=True)
class Clip:
    """All that is needed to decode a file in chunks."""

    index: VideoIndex
    blocks: list[PacketBlock]
    packets: list[int]

    def chunk(self, start: int, stop: int) -> DecodeRequest:
        wanted = self.packets[start:stop]
        keys = [n for n in range(min(wanted) + 1) if self.index.keyframes[n]]
        return DecodeRequest(
            wanted=tuple(wanted),
            packet_start=keys[-1],
            packet_stop=len(self.index),
            shipped_from=keys[-1],
            proven=keys[-1] == 0,
        )

    def decode(self, decoder: ChunkDecoder) -> list[str]:
        """Hashes of all frames; a chunk whose attempt failed is decoded again."""
        found: list[str] = []
        for start in range(0, len(self.packets), CHUNK):
            request = self.chunk(start, start + CHUNK)
            try:
                found += self._frames(decoder, request)
            except DeviceError:
                decoder.close()
                found += self._frames(decoder, request)
        return found

    def _frames(self, decoder: ChunkDecoder, request: DecodeRequest) -> list[str]:
        return [frame_md5(frame) for frame in self.frames(decoder, request)]

    def frames(self, decoder: ChunkDecoder, request: DecodeRequest) -> list[VideoFrame]:
        def give(first: int) -> list[PacketBlock]:
            return [block for block in self.blocks if block.stop > first]

        decoded = decoder.decode(request, give)
        return [each.frame for each in decoded if each.frame is not None]


def clip_of(path: Path) -> Clip:
    index = build_index(path)
    with PacketReader(index) as reader:
        blocks = [reader.read(number) for number in reader.blocks_of(0, len(index))]
    return Clip(index, blocks, plan_frames(index, None).packets.tolist())


@pytest.fixture
def clip(media_studio: Studio) -> Clip:
    return clip_of(media_studio.path("plain.mp4"))


def decoder_of(clip: Clip, asked: HardwareDecode = HardwareDecode.CUDA) -> ChunkDecoder:
    return ChunkDecoder(clip.index.stream, 1, hardware=asked)


def due(studio: Studio, name: str = "plain.mp4") -> list[str]:
    return [frame.md5 for frame in serial_frames(studio.path(name))]


@pytest.mark.parametrize("name", ["plain.mp4", "h264_10bit.mp4", "h264_open_gop.mp4"])
def test_a_device_that_is_right_decodes_after_its_trial(
    media_studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clip = clip_of(media_studio.path(name))
    device = FakeDevice(clip.index.stream)
    play(device, monkeypatch)
    threads: list[int] = []

    def opened(stream: StreamParameters, count: int) -> Any:
        threads.append(count)
        return open_decoder(stream, count)

    monkeypatch.setattr(hardware_decode, "open_decoder", opened)
    decoder = ChunkDecoder(clip.index.stream, 3, hardware=HardwareDecode.CUDA)
    assert clip.decode(decoder) == due(media_studio, name)
    assert device.shown >= len(clip.packets)
    assert 3 not in threads, "software decoded for good"


@pytest.mark.parametrize("fault", [green(5), losing(5), dying(5), renumbering])
def test_a_device_that_is_wrong_in_its_trial_is_never_used(
    fake: FakeDevice,
    clip: Clip,
    media_studio: Studio,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    fake.fault = fault
    assert clip.decode(decoder_of(clip)) == due(media_studio)
    assert fake.opened == ["h264 on cuda"]
    assert "; software decodes instead" in caplog.text


@pytest.mark.parametrize("kind", ["green", "dying"])
def test_a_device_that_breaks_later_fails_the_attempt_and_gives_way(
    fake: FakeDevice, clip: Clip, media_studio: Studio, kind: str
) -> None:
    broken = green(0) if kind == "green" else dying(0)
    fake.fault = lambda number, frame: broken(number, frame) if len(fake.opened) > 2 else frame
    decoder = decoder_of(clip)
    # Only entries are compared after the trial: let each chunk enter anew.
    found = []
    for start in range(0, len(clip.packets), CHUNK):
        decoder.close()
        request = clip.chunk(start, start + CHUNK)
        try:
            found += clip._frames(decoder, request)
        except DeviceError:
            decoder.close()
            found += clip._frames(decoder, request)
    assert found == due(media_studio)
    opened = len(fake.opened)
    decoder.close()
    clip._frames(decoder, clip.chunk(0, CHUNK))
    assert len(fake.opened) == opened, "the device was asked again"


def test_a_device_that_is_slower_is_left_alone_unless_it_is_named(
    fake: FakeDevice,
    clip: Clip,
    media_studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = iter(range(10**6))
    # Software and device take one tick a packet; software has four threads.
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    decoder = ChunkDecoder(clip.index.stream, 4, hardware=HardwareDecode.AUTO)
    assert clip.decode(decoder) == due(media_studio)
    assert fake.shown < len(clip.packets)
    assert "frames a second, software" in caplog.text
    fake.shown = 0
    assert clip.decode(decoder_of(clip)) == due(media_studio)
    assert fake.shown >= len(clip.packets)


def test_a_listed_device_that_is_not_here_is_said_only_where_it_was_named(
    clip: Clip, media_studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    if "cuda" not in hwdevices_available() or Path("/dev/nvidia0").exists():
        pytest.skip("this needs a library with NVDEC and a machine without")
    caplog.set_level(logging.WARNING)
    assert clip.decode(decoder_of(clip, HardwareDecode.AUTO)) == due(media_studio)
    assert caplog.text == ""
    assert clip.decode(decoder_of(clip)) == due(media_studio)
    assert "cuda is not here" in caplog.text


class Staying:
    """A decoder whose frames stay after the trial."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.device = played_by_memory(clip.index.stream)
        self.decoder = ChunkDecoder(
            clip.index.stream, 1, hardware=HardwareDecode.CUDA, stays=self.device
        )
        self.stayed = 0

    def hashes(self) -> list[str]:
        """Of all frames in memory; a chunk whose attempt failed is decoded again."""
        found: list[str] = []
        for start in range(0, len(self.clip.packets), CHUNK):
            try:
                found += self._chunk(start)
            except DeviceError:
                self.decoder.close()
                found += self._chunk(start)
        return found

    def _chunk(self, start: int) -> list[str]:
        frames = self.clip.frames(self.decoder, self.clip.chunk(start, start + CHUNK))
        staying = [self.device.holds(frame) for frame in frames]
        found = [
            frame_md5(self.device.brought(frame) if stays else frame)
            for frame, stays in zip(frames, staying, strict=True)
        ]
        self.stayed += sum(staying)
        return found


@pytest.mark.parametrize("name", ["plain.mp4", "h264_10bit.mp4", "h264_open_gop.mp4"])
def test_frames_stay_where_they_are_after_a_trial(
    media_studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clip = clip_of(media_studio.path(name))
    device = FakeDevice(clip.index.stream)
    play(device, monkeypatch)
    staying = Staying(clip)
    assert staying.hashes() == due(media_studio, name)
    assert CHUNK <= staying.stayed < len(clip.packets)
    assert set(device.opened) == {"h264 staying"}


@pytest.mark.parametrize("fault", [green(5), losing(5), dying(5), renumbering])
def test_a_device_on_which_frames_would_be_wrong_is_tried_the_other_way_and_then_not_at_all(
    fake: FakeDevice,
    clip: Clip,
    media_studio: Studio,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    fake.fault = fault
    if fault is not renumbering:
        fake.fault = lambda number, frame: fault(number % 20, frame)
    staying = Staying(clip)
    assert staying.hashes() == due(media_studio)
    assert staying.stayed == 0
    assert fake.opened == ["h264 staying", "h264 on cuda"]
    assert "they are brought to memory from now on" in caplog.text
    assert "; software decodes instead" in caplog.text


def test_frames_that_cannot_be_edited_where_they_are_are_brought_to_memory(
    fake: FakeDevice, clip: Clip, media_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    staying = Staying(clip)
    monkeypatch.setattr(staying.device, "put", lambda *_: None)
    assert staying.hashes() == due(media_studio)
    assert staying.stayed == 0
    assert fake.opened[0] == "h264 staying"
    assert set(fake.opened[1:]) == {"h264 on cuda"}, "the device still decodes"


def test_frames_that_are_wanted_twice_stay_once(
    fake: FakeDevice, clip: Clip, media_studio: Studio
) -> None:
    staying = Staying(clip)
    staying.hashes()
    staying.decoder.close()
    request = replace(clip.chunk(40, 50), held_from=7)
    first = clip.frames(staying.decoder, request)
    begin = max(request.wanted) + 1
    following = replace(clip.chunk(47, 57), shipped_from=begin)
    if begin <= following.packet_start:
        pytest.fail("the clip has a keyframe there, so that nothing is held")
    second = clip.frames(staying.decoder, following)
    assert [staying.device.holds(frame) for frame in first] == [True] * 10
    assert [staying.device.holds(frame) for frame in second] == [False] * 3 + [True] * 7
    shown = [staying.device.brought(f) if staying.device.holds(f) else f for f in second]
    assert [frame_md5(frame) for frame in shown] == due(media_studio)[47:57]


def test_off_asks_no_device(fake: FakeDevice, clip: Clip, media_studio: Studio) -> None:
    assert clip.decode(decoder_of(clip, HardwareDecode.OFF)) == due(media_studio)
    assert fake.opened == []
