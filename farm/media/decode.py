"""Decoding the frames of a chunk from shipped packets, with a bare codec context.

A frame is known by the number of its packet, which goes through the decoder in place of its timestamp. A keyframe is believed only when it proves itself: where a wanted frame does not come out, the
caller is asked for earlier packets. Not for: reading packets (`farm.media.packets`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from farm.errors import ChunkError, MediaError
from farm.media.packets import PacketBlock
from farm.media.stream import StreamParameters


class NeedEarlierError(ChunkError):
    """The packets at hand do not decode to every wanted frame; earlier ones may."""


class DecoderClosedError(NeedEarlierError):
    """The decoder does not stand where the shipped packets begin; they must begin at the keyframe."""


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
    """The first packet at hand; after `packet_start` where the decoder should be open already."""
    proven: bool
    """Whether there is nothing earlier to ask for: what does not come out is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFrame:
    """A wanted frame, or the fact that it does not decode."""

    position: int
    """Index into `DecodeRequest.wanted`."""
    frame: VideoFrame | None
    """None where the frame is lost."""


def open_decoder(stream: StreamParameters, threads: int) -> VideoCodecContext:
    """Make a decoder that knows all that the container said of the stream.

    Args:
        stream: The parameters.
        threads: Threads of the decoder; 0 lets libavcodec choose.

    Raises:
        MediaError: There is no such decoder.
    """
    try:
        context: Any = av.CodecContext.create(stream.codec, "r")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"no decoder for {stream.codec}; convert the video first") from error
    if stream.extradata:
        context.extradata = stream.extradata
    context.width, context.height = stream.width, stream.height
    context.pix_fmt = stream.pix_fmt
    for name in ("codec_tag", "bits_per_coded_sample", "field_order", "reorder_depth"):
        setattr(context, name, getattr(stream, name))
    if stream.profile is not None:
        # Decoders that do not take a profile by name find it in the packets.
        with contextlib.suppress(ValueError):
            context.profile = stream.profile
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    color = stream.color
    context.color_range, context.colorspace = color.range, color.space
    context.color_primaries, context.color_trc = color.primaries, color.trc
    context.thread_type = "AUTO"
    context.thread_count = threads
    if stream.codec == "h264":
        # Without reorder information in its headers a bare H.264 decoder drops frames.
        context.options = {"strict": "1"}
    assert isinstance(context, VideoCodecContext)
    return context


class ChunkDecoder:
    """Decodes one request after another, going on where it stands when the next one follows."""

    def __init__(self, stream: StreamParameters, threads: int) -> None:
        self._stream = stream
        self._threads = threads
        self._context: VideoCodecContext | None = None
        self._fed = 0
        self._held: dict[int, VideoFrame] = {}

    def decode(
        self, request: DecodeRequest, blocks: Callable[[int], Iterable[PacketBlock]]
    ) -> Iterator[DecodedFrame]:
        """Yield every wanted frame once, in display order.

        Args:
            request: What is wanted.
            blocks: Gives the blocks from that packet on, in order; they are consumed as needed.

        Raises:
            DecoderClosedError: The decoder does not stand where the shipped packets begin.
            FalseKeyframeError: What seemed a keyframe is none.
            NeedEarlierError: A frame did not come out and earlier packets may help.
            MediaError: A frame has not the size or format of the stream.
        """
        start = self._resume(request)
        if start < request.shipped_from:
            self.close()
            raise DecoderClosedError(f"the decoder is not open at packet {request.shipped_from}")
        position = {number: i for i, number in enumerate(request.wanted)}
        following = 0
        for number, frame in self._frames(request, blocks(start), start, position):
            place = position[number]
            if place < following:
                continue
            if place > following or frame.is_corrupt:
                self._lost(request)
            for lost in range(following, place):
                yield DecodedFrame(position=lost, frame=None)
            self._check(frame)
            yield DecodedFrame(position=place, frame=frame)
            following = place + 1
            if following == len(request.wanted):
                return
        if following < len(request.wanted):
            self._lost(request)
        for lost in range(following, len(request.wanted)):
            yield DecodedFrame(position=lost, frame=None)

    def _resume(self, request: DecodeRequest) -> int:
        """Return the first packet to feed: where the decoder stands, or the start with a new decoder."""
        wanted_first = min(request.wanted)
        stands = self._context is not None and request.packet_start <= self._fed <= request.packet_stop
        if stands and (wanted_first >= self._fed or wanted_first in self._held):
            return self._fed
        self.close()
        self._context = open_decoder(self._stream, self._threads)
        return request.packet_start

    def close(self) -> None:
        """Forget the decoder; the next request begins at its keyframe."""
        self._context = None
        self._held = {}

    def _frames(
        self,
        request: DecodeRequest,
        blocks: Iterable[PacketBlock],
        start: int,
        position: dict[int, int],
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield wanted frames as they come out; later ones are held for the next request."""
        held, self._held = self._held, {}
        last = request.wanted[-1]
        proven = request.proven or start != request.packet_start or start in held
        for number, frame in held.items():
            if number in position:
                yield number, frame
            else:
                self._held[number] = frame
        for block in blocks:
            for number, packet in block.packets(start, request.packet_stop):
                frames = self._decode(packet)
                self._fed = number + 1
                mine = [f for f in frames if f.pts in position]
                if not proven and frames:
                    proven = self._prove(request, frames, bool(mine))
                if any(f.pts == last for f in mine):
                    # What comes out behind the last wanted frame belongs to the chunk that follows.
                    self._held.update((f.pts, f) for f in frames if f.pts not in position)
                for frame in mine:
                    yield frame.pts, frame
        drained = self._decode(None)
        self._context = None
        for frame in drained:
            if frame.pts in position:
                yield frame.pts, frame

    def _prove(self, request: DecodeRequest, frames: list[VideoFrame], wanted: bool) -> bool:
        """Tell whether the entry keyframe has shown a whole picture; it must before a wanted frame does."""
        for frame in frames:
            if frame.pts == request.packet_start:
                if not frame.is_corrupt and (frame.key_frame or frame.pict_type == PictureType.I):
                    return True
                wanted = True
        if wanted:
            self.close()
            raise FalseKeyframeError(f"packet {request.packet_start} is no keyframe to start from")
        return False

    def _decode(self, packet: av.Packet[Any] | None) -> list[Any]:
        """Feed one packet, or drain; a packet that is refused gives no frames."""
        assert self._context is not None
        try:
            return list(self._context.decode(packet))
        except av.FFmpegError:
            return []

    def _lost(self, request: DecodeRequest) -> None:
        """Ask for earlier packets, unless there are none."""
        if request.proven:
            return
        self.close()
        raise NeedEarlierError(
            f"frames of packets {min(request.wanted)} to {max(request.wanted)} do not decode "
            f"from packet {request.packet_start}"
        )

    def _check(self, frame: VideoFrame) -> None:
        stream = self._stream
        here = (frame.width, frame.height, frame.format.name)
        if here != (stream.width, stream.height, stream.pix_fmt):
            raise MediaError(
                f"the picture changes from {stream.width}x{stream.height} {stream.pix_fmt} to "
                f"{here[0]}x{here[1]} {here[2]}; cut the file there and render the parts"
            )
