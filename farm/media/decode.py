"""Decoding the frames of a chunk from shipped packets, with a bare codec context.

A frame is known by the number of its packet, which goes through the decoder in place of its
timestamp. A keyframe is believed only when it proves itself: where a wanted frame does not come
out, the caller is asked for earlier packets. Not for: reading packets (`farm.media.packets`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import av
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame

from farm.errors import ChunkError, MediaError
from farm.media.frame_device import FrameDevice
from farm.media.hardware_decode import DecoderOpener, PacketDecoder
from farm.media.packets import PacketBlock
from farm.media.reference import second_reference
from farm.media.stream import StreamParameters
from farm.settings import HardwareDecode

_INSIDE_PACKETS = 512
"""More than any decoder holds."""


class NeedEarlierError(ChunkError):
    """The packets at hand do not decode to every wanted frame; earlier ones may."""


class DecoderClosedError(NeedEarlierError):
    """The decoder does not stand where the packets begin; they must begin at the keyframe."""


class FalseKeyframeError(NeedEarlierError):
    """The keyframe at which decoding began is none: no complete picture came out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """Which frames to decode, and from which packets."""

    wanted: tuple[int, ...]
    """Packet numbers of the frames, in display order."""
    packet_start: int
    """The keyframe to begin at, where the decoder is not open there already."""
    packet_stop: int
    shipped_from: int
    """The first packet at hand; above `packet_start` where the decoder should be open already."""
    proven: bool
    """Whether enough was tried: a frame with errors is taken as it is, and with `packet_start` 0
    one that does not come out is lost."""
    held_from: int | None = None
    """Index into `wanted` from which on the request that follows wants the frames too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFrame:
    """A wanted frame, or the fact that it does not decode."""

    position: int
    """Index into `DecodeRequest.wanted`."""
    frame: VideoFrame | None
    """None where the frame is lost."""


class ChunkDecoder:
    """Decodes one request after another, going on where it stands when the next one follows."""

    def __init__(
        self,
        stream: StreamParameters,
        threads: int,
        *,
        any_shape: bool = False,
        hardware: HardwareDecode = HardwareDecode.OFF,
        stays: FrameDevice | None = None,
    ) -> None:
        """Decode packets of a stream.

        Args:
            stream: Its parameters.
            threads: Of the decoder, 0 lets it choose.
            any_shape: Whether frames may have another size or format than the stream.
            hardware: Which device may decode.
            stays: Where its frames may stay; None brings them to memory.
        """
        self._stream = stream
        self._stays = stays
        self._opener = DecoderOpener(stream, threads, hardware, stays)
        self._any_shape = any_shape
        self._context: PacketDecoder | None = None
        self._fed = 0
        self._inside: set[int] = set()
        """Packets that were fed and whose frames did not come out yet."""
        self._held: dict[int, VideoFrame] = {}
        """Frames that came out and belong to the request that follows."""

    def decode(
        self, request: DecodeRequest, blocks: Callable[[int], Iterable[PacketBlock]]
    ) -> Iterator[DecodedFrame]:
        """Yield every wanted frame once, in display order.

        Args:
            request: What is wanted.
            blocks: Gives the blocks from a packet on, in order; they are consumed as needed.

        Raises:
            DecoderClosedError: The decoder does not stand where the shipped packets begin.
            FalseKeyframeError: What seemed a keyframe is none.
            NeedEarlierError: A frame did not come out and earlier packets may help.
            MediaError: A frame has not the size or format of the stream.
            DeviceError: A device failed that was trusted; software takes its place from now on.
        """
        goes_on = self._can_go_on(request)
        start = self._fed if goes_on else request.packet_start
        if start < request.shipped_from:
            self.close()
            raise DecoderClosedError(f"the decoder is not open at packet {request.shipped_from}")
        if not goes_on:
            self._open()
        position = {number: i for i, number in enumerate(request.wanted)}
        proven = goes_on or request.proven or not self._stream.marks_keyframes
        following = 0
        for number, frame in self._frames(request, blocks(start), start, position, proven):
            place = position[number]
            if place < following:
                continue
            if place > following:
                self._missing(request, goes_on)
            if frame.is_corrupt and not request.proven:
                self._ask_earlier(request)
            yield from _lost_frames(following, place)
            if not self._any_shape:
                self._check(frame)
            if request.held_from is not None and place >= request.held_from:
                self._held[number] = self._another(frame)
            yield DecodedFrame(position=place, frame=frame)
            following = place + 1
            if following == len(request.wanted):
                return
        self._missing(request, goes_on)
        yield from _lost_frames(following, len(request.wanted))

    def close(self) -> None:
        """Forget the decoder; the next request begins at its keyframe."""
        self._context = None
        self._held = {}
        self._inside = set()

    def _open(self) -> None:
        """Begin with a new decoder."""
        self.close()
        self._context = self._opener.open()

    def _can_go_on(self, request: DecodeRequest) -> bool:
        """Tell whether all wanted frames are held or still to come out of the decoder.

        Only where the packets at hand count on it: a decoder that is open by chance may have begun
        elsewhere.
        """
        if request.shipped_from <= request.packet_start:
            return False
        if all(number in self._held for number in request.wanted):
            return True
        if self._context is None or not request.packet_start <= self._fed <= request.packet_stop:
            return False
        return all(
            number >= self._fed or number in self._held or number in self._inside
            for number in request.wanted
        )

    def _frames(
        self,
        request: DecodeRequest,
        blocks: Iterable[PacketBlock],
        start: int,
        position: dict[int, int],
        proven: bool,
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield wanted frames as they come out; later ones are held for the next request."""
        held = self._held
        self._held = {n: frame for n, frame in held.items() if n not in position}
        for number in sorted(held.keys() & position.keys(), key=position.__getitem__):
            yield number, held[number]
        for block in blocks:
            for number, packet in block.packets(start, request.packet_stop):
                frames = self._feed(number, packet)
                mine = [frame for frame in frames if frame.pts in position]
                proven = proven or self._prove(request, frames, bool(mine))
                self._hold_behind(request.wanted[-1], frames)
                for frame in mine:
                    yield frame.pts, frame
        drained = self._drain()
        self._hold_behind(request.wanted[-1], drained)
        for frame in drained:
            if frame.pts in position:
                yield frame.pts, frame

    def _hold_behind(self, last: int, frames: list[Any]) -> None:
        """Keep what comes out behind the last wanted frame for the request that follows."""
        numbers = [frame.pts for frame in frames]
        if last in numbers:
            self._held.update((f.pts, f) for f in frames[numbers.index(last) + 1 :])

    def _prove(self, request: DecodeRequest, frames: list[Any], wanted: bool) -> bool:
        """Tell whether the entry keyframe came out whole, as it must before a wanted frame does."""
        for frame in frames:
            if frame.pts == request.packet_start:
                if not frame.is_corrupt and (frame.key_frame or frame.pict_type == PictureType.I):
                    return True
                wanted = True
        if wanted:
            self.close()
            raise FalseKeyframeError(f"packet {request.packet_start} is no keyframe to start from")
        return False

    def _feed(self, number: int, packet: Packet[Any]) -> list[Any]:
        """Feed one packet and return the frames that come out."""
        self._fed = number + 1
        self._inside.add(number)
        if len(self._inside) > 2 * _INSIDE_PACKETS:
            # Packets that show nothing never leave the set by themselves.
            self._inside = {n for n in self._inside if n > number - _INSIDE_PACKETS}
        frames = self._decode(packet)
        self._inside.difference_update(frame.pts for frame in frames)
        return frames

    def _drain(self) -> list[Any]:
        """Return the frames that are left in the decoder, which is of no use afterwards."""
        frames = self._decode(None)
        held = self._held
        self.close()
        self._held = held
        return frames

    def _decode(self, packet: Packet[Any] | None) -> list[Any]:
        """Feed one packet, or drain; a packet that is refused gives no frames."""
        assert self._context is not None
        try:
            return list(self._context.decode(packet))
        except av.FFmpegError:
            return []

    def _missing(self, request: DecodeRequest, goes_on: bool) -> None:
        """Give up where a frame did not come out, unless all was tried from the very start."""
        if goes_on:
            self.close()
            raise DecoderClosedError(f"the decoder lost frames before packet {self._fed}")
        if not request.proven or request.packet_start > 0:
            self._ask_earlier(request)

    def _ask_earlier(self, request: DecodeRequest) -> NoReturn:
        """Give the attempt up."""
        self.close()
        raise NeedEarlierError(
            f"frames of packets {min(request.wanted)} to {max(request.wanted)} do not decode "
            f"from packet {request.packet_start}"
        )

    def _another(self, frame: VideoFrame) -> VideoFrame:
        """The same frame a second time; one that stays on a device in memory."""
        if self._stays is not None and self._stays.holds(frame):
            return self._stays.brought(frame)
        return second_reference(frame)

    def _check(self, frame: VideoFrame) -> None:
        """Refuse a frame whose size or format is not that of the stream."""
        stream = self._stream
        stays = self._stays is not None and self._stays.holds(frame)
        here = (frame.width, frame.height, stream.pix_fmt if stays else frame.format.name)
        if here != (stream.width, stream.height, stream.pix_fmt):
            raise MediaError(
                f"the picture changes from {stream.width}x{stream.height} {stream.pix_fmt} to "
                f"{here[0]}x{here[1]} {here[2]}; give --on-change scale, or cut the file there"
            )


def _lost_frames(start: int, stop: int) -> Iterator[DecodedFrame]:
    """Yield the positions `start` to `stop` as lost."""
    for position in range(start, stop):
        yield DecodedFrame(position=position, frame=None)
