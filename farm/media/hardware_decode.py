"""Decoding on a device, as far as it proves to give what software gives.

A worker's first frames are decoded both ways: software's are used, and the device's must be the
same in number, flags and every sample. Then the device decodes alone if it is faster; wherever it
begins anew, its first picture is compared with software's again. Devices do not say which slices
decoded with errors, so they are not asked to decode damaged or untrusted streams. Frames are
brought to memory, or stay where the decoder put them; then the trial brings them there to compare,
and sees on the first of them that they can be edited there.
Not for: what is done with frames that stay (`farm.media.device_frame`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Protocol

import av
from av.codec.hwaccel import hwdevices_available
from av.packet import Packet
from av.video.frame import VideoFrame

from farm.media.device_decoder import DeviceDecoder
from farm.media.device_proof import prove
from farm.media.device_runs import DeviceError
from farm.media.frame_device import FrameDevice
from farm.media.open_decoder import open_decoder
from farm.media.signature import picture_md5
from farm.media.stream import StreamParameters
from farm.settings import HardwareDecode

log = logging.getLogger(__name__)

_TRIAL_FRAMES = 32


class PacketDecoder(Protocol):
    """What turns packets into frames, as a codec context does."""

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """Feed a packet, or drain; the frames that come out have packet numbers as pts."""


def devices_to_try(asked: HardwareDecode) -> list[str]:
    """Devices that the installed libraries know, the best first; they may not be there."""
    if asked is HardwareDecode.AUTO:
        listed = hwdevices_available()
        return [str(each) for each in HardwareDecode if each in listed]
    return [] if asked is HardwareDecode.OFF else [str(asked)]


class DecoderOpener:
    """Opens decoders of one stream in one worker, and knows what its devices have proven."""

    def __init__(
        self,
        stream: StreamParameters,
        threads: int,
        asked: HardwareDecode = HardwareDecode.OFF,
        stays: FrameDevice | None = None,
    ) -> None:
        """Take a stream.

        Args:
            stream: Its parameters.
            threads: Of a software decoder, 0 lets it choose.
            asked: Which device may decode.
            stays: Where frames of NVDEC stay as long as that works; None brings all to memory.
        """
        self.stream, self.threads = stream, threads
        self._asked = asked
        self._stays = stays
        self._devices = devices_to_try(asked)
        self._trusted = self._trusted_to_stay = False
        self._compared = 0
        self._seconds = [0.0, 0.0]
        """Spent by software on one thread, and by the device."""

    def open(self) -> PacketDecoder:
        """Open a decoder: software, a device on trial, or one that is trusted.

        Raises:
            MediaError: There is no decoder for the codec.
        """
        while self._devices:
            stays = self._stays_now()
            if self._trusted_to_stay and stays is None:
                self._forget()  # What was proven was another way.
            try:
                device = DeviceDecoder(self.stream, self._devices[0], stays)
            except DeviceError as error:
                quiet = self._asked is HardwareDecode.AUTO
                self.give_up(error.message, stays, quiet=quiet)
                continue
            if self._trusted:
                return _Proven(device, self)
            return _Tried(device, open_decoder(self.stream, 1), self)
        return open_decoder(self.stream, self.threads)

    @property
    def trusted(self) -> bool:
        """Whether the device at hand has shown that it gives what software gives."""
        return self._trusted

    def is_trying(self, device: DeviceDecoder) -> bool:
        """Whether a device is still in question."""
        return bool(self._devices) and device.name == self._devices[0]

    def give_up(
        self, reason: str, stays: FrameDevice | None = None, *, quiet: bool = False
    ) -> None:
        """Try the device at hand no more, or not with frames that stay, and say why."""
        self._forget()
        if stays is not None:
            stays.give_up(reason)
            return
        following = self._devices[1] if len(self._devices) > 1 else "software"
        level = logging.DEBUG if quiet else logging.WARNING
        log.log(level, "decoding: %s; %s decodes instead", reason, following)
        self._devices = self._devices[1:]

    def _stays_now(self) -> FrameDevice | None:
        """Where frames of the device at hand stay."""
        able = self._stays is not None and self._stays.alive
        return self._stays if able and self._devices[0] == HardwareDecode.CUDA else None

    def _forget(self) -> None:
        """Begin the trial anew."""
        self._trusted = self._trusted_to_stay = False
        self._compared, self._seconds = 0, [0.0, 0.0]

    def same(self, software_s: float, device_s: float, frames: int) -> None:
        """Take down that frames came out alike; with enough of them the device is judged."""
        self._compared += frames
        self._seconds[0] += software_s
        self._seconds[1] += device_s
        if self._compared < _TRIAL_FRAMES:
            return
        rates = [self._compared / max(each, 1e-9) for each in self._seconds]
        rates[0] *= max(1, self.threads)
        if self._asked is HardwareDecode.AUTO and rates[1] <= rates[0]:
            name, slow, fast = self._devices[0], rates[1], rates[0]
            self.give_up(f"{name} gives {slow:.0f} frames a second, software {fast:.0f}")
        else:
            self._trusted, self._trusted_to_stay = True, self._stays_now() is not None


class _Tried:
    """Software and a device side by side; software's frames are used until the device is judged."""

    def __init__(
        self, device: DeviceDecoder, software: PacketDecoder, opener: DecoderOpener
    ) -> None:
        self._device: DeviceDecoder | None = device
        self._software: PacketDecoder | None = software
        self._opener = opener
        self._due: deque[object] = deque()
        """What software gave and the device has not given yet, in order."""
        self._ahead: deque[VideoFrame] = deque()
        """Frames that the device gave before software."""
        self._unproven = device.stays
        """Where frames stay, until one was edited there."""

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """Feed a packet to both, or drain."""
        if self._software is None:
            return self._new(self._alone(packet))
        began = time.perf_counter()
        frames = self._software.decode(packet)
        if self._device is None:
            return frames
        middle = time.perf_counter()
        try:
            found = self._device.decode(packet)
            spent = time.perf_counter() - middle
            same = self._compare(frames, found, at_end=packet is None)
        except DeviceError as error:
            self._opener.give_up(error.message, self._device.stays)
            self._device = None
            return frames
        self._opener.same(middle - began, spent, same)
        if self._opener.trusted:
            self._software = None
        elif not self._opener.is_trying(self._device):
            self._device = None
        return frames

    def _alone(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """What the trusted device gives.

        Raises:
            DeviceError: It failed; it is not asked again.
        """
        assert self._device is not None
        try:
            return self._device.decode(packet)
        except DeviceError as error:
            self._opener.give_up(error.message, self._device.stays)
            raise

    def _compare(self, frames: list[VideoFrame], found: list[VideoFrame], *, at_end: bool) -> int:
        """Compare what both have given; returns how many frames were the same.

        Raises:
            DeviceError: They were not.
        """
        self._due.extend(_facts(frame) for frame in frames)
        self._ahead.extend(found)
        same = 0
        while self._due and self._ahead:
            frame = self._ahead.popleft()
            if self._due.popleft() != self._facts_there(frame):
                raise DeviceError(f"the device does not show packet {frame.pts} as software does")
            same += 1
        if at_end and (self._due or self._ahead):
            raise DeviceError("the device shows other frames than software")
        return same

    def _facts_there(self, frame: VideoFrame) -> object:
        """Facts of a frame of the device, which is not used otherwise."""
        assert self._device is not None
        picture = self._device.in_memory(frame)
        found = _facts(frame, picture)
        if self._unproven is not None:
            prove(self._unproven, frame, picture)
            self._unproven = None
        return found

    def _new(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """Frames that software has not given before it ended, in order."""
        here = [*self._ahead, *frames]
        self._ahead.clear()
        known = min(len(self._due), len(here))
        for _ in range(known):
            self._due.popleft()
        return here[known:]


class _Proven:
    """A device alone, whose first picture is compared with software's."""

    def __init__(self, device: DeviceDecoder, opener: DecoderOpener) -> None:
        self._device, self._opener = device, opener
        self._entry: dict[int | None, object] | None = None
        self._software: PacketDecoder | None = None
        """Decodes instead where the first packet alone does not prove itself."""

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """Feed a packet, or drain.

        Raises:
            DeviceError: The device failed; it is not asked again.
        """
        if self._entry is None:
            self._entry = {} if packet is None else self._proof(packet)
            if not self._entry:
                self._software = open_decoder(self._opener.stream, self._opener.threads)
        if self._software is not None:
            return self._software.decode(packet)
        try:
            frames = self._device.decode(packet)
            for frame in frames:
                due = self._entry.pop(frame.pts, None)
                if due is not None and due != _facts(frame, self._device.in_memory(frame)):
                    raise DeviceError(f"the device shows packet {frame.pts} otherwise")
        except DeviceError as error:
            self._opener.give_up(error.message, self._device.stays)
            raise
        return frames

    def _proof(self, packet: Packet[Any]) -> dict[int | None, object]:
        """What software shows of the first packet; empty where that is no whole picture."""
        alone = open_decoder(self._opener.stream, 1)
        try:
            frames = [*alone.decode(packet), *alone.decode(None)]
        except av.FFmpegError:
            return {}
        return {frame.pts: _facts(frame) for frame in frames if not frame.is_corrupt}


def _facts(frame: VideoFrame, picture: VideoFrame | None = None) -> object:
    """Everything of a frame that must be the same, its packet's number first.

    `picture` is the frame in memory, where it is not there itself.
    """
    picture = picture or frame
    shape = (picture.width, picture.height, picture.format.name)
    flags = (frame.key_frame, frame.pict_type, frame.interlaced_frame, frame.is_corrupt)
    return (frame.pts, *shape, *flags, picture_md5(picture))
