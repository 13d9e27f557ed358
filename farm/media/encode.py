"""Encoding the frames of a chunk, the same bytes on every machine.

Frames are timed by their number, so that no time passes through an encoder. Not for: choosing an
encoder (`farm.media.encoders`) or muxing (`farm.media.join`).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, Protocol

import av
import cv2
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from farm.errors import EncoderError
from farm.media.chunk_file import ChunkHeader, EncodedPacket
from farm.media.encoders import EncoderChoice
from farm.media.frame_device import FrameDevice
from farm.media.parameter_sets import parameter_sets
from farm.media.pixel_formats import to_pix_fmt
from farm.media.reasons import reason_of
from farm.media.seen import SeenPictures
from farm.media.sessions import LIMITED_FAMILIES, Opened, Session, open_in_turn
from farm.media.stream import StreamParameters

DEFAULT_RATE = Fraction(25)
_REFUSALS = (av.FFmpegError, ValueError, NotImplementedError)
"""What PyAV raises for an encoder that is not there, or refuses its settings or pictures."""
_X264_SETS = "MMX2,SSE2,SSE2Fast,SSSE3,SSE4.2"
_X264_SETS_AVX2 = f"{_X264_SETS},LZCNT,AVX,FMA3,BMI2,AVX2"
_UPLOADING_FAMILIES = frozenset({"vaapi"})
"""Families whose encoders take frames on their device only."""
_CPU_AVX2, _CPU_FMA3 = 11, 12
"""Numbers of `cv::CpuFeatures`, which the Python module does not name."""


class FrameEncoder(Protocol):
    """What encodes frames: give it every frame in order, then flush it."""

    seen: SeenPictures

    @property
    def extradata(self) -> bytes:
        """The global header; empty where there is none."""

    def encode(self, frame: VideoFrame, frame_number: int) -> list[EncodedPacket]:
        """Encode the next frame."""

    def flush(self) -> Iterable[EncodedPacket]:
        """Get what is held back; no frame may follow."""

    def close(self) -> None:
        """Give up what is held, also in the middle."""


class ChunkEncoder:
    """One encoder for one chunk: give it every frame in order, then flush it, then close it."""

    def __init__(
        self,
        choice: EncoderChoice,
        stream: StreamParameters,
        frame_rate: Fraction | None = None,
        stays: FrameDevice | None = None,
    ) -> None:
        """Open the encoder.

        Args:
            choice: The job's choice.
            stream: The source's stream, for size and colour.
            frame_rate: A hint for rate control; the same for all chunks of a job.
            stays: Where all its frames lie; None for memory. Then it opens with its first frame,
                which tells it of the decoder's pool.

        Raises:
            EncoderError: the encoder refuses these settings.
        """
        self._choice = choice
        self._stream = stream
        self._sets: bytes | None = None
        self._extradata = b""
        self._frame_rate = frame_rate or stream.frame_rate or DEFAULT_RATE
        self._session: Session | None = None
        self._context: VideoCodecContext | None = None
        self._opens_later = stays is not None
        self.stays = stays
        if stays is None:
            self._context = self._opened(partial(open_encoder, choice, stream, self._frame_rate))
        self.seen = SeenPictures()
        """The pictures as they were handed to the encoder."""

    def encode(self, frame: VideoFrame, frame_number: int) -> list[EncodedPacket]:
        """Encode the next frame; its pts, picture type and time base are overwritten.

        Args:
            frame: A picture of the stream, in any pixel format; on the device where frames stay.
            frame_number: Within the chunk, from 0, without gaps.

        Raises:
            EncoderError: the encoder broke.
            DeviceError: The frame cannot be looked at where it stays.
        """
        if self.stays is None:
            ready = to_pix_fmt(frame, self._choice.pix_fmt, self._stream.color, self._choice.color)
            self.seen.add(ready)
        else:
            ready = frame
            self.seen.add_signatures(self.stays.signatures(frame))
        ready.pict_type = 0
        ready.time_base = 1 / self._frame_rate
        ready.pts = frame_number
        if self._opens_later:
            return self._begin(ready)
        return self._drain(ready)

    def flush(self) -> list[EncodedPacket]:
        """Get the packets that the encoder holds back; it takes no frame after that.

        Raises:
            EncoderError: the encoder broke.
        """
        packets = self._drain(None)
        self.close()
        return packets

    def close(self) -> None:
        """Give the device's session back; hardware has only a few."""
        if self._context is not None:
            self._extradata = self.extradata
        self._context = None
        if self._session is not None:
            self._session.give_back()

    @property
    def extradata(self) -> bytes:
        """The encoder's global header; empty where parameter sets are in band."""
        if self._choice.codec in ("h264", "hevc"):
            return b""
        return self._extradata if self._context is None else bytes(self._context.extradata or b"")

    @property
    def parameter_sets(self) -> bytes:
        """In-band parameter sets of the first packet; empty before it and for codecs without."""
        return self._sets or b""

    def _opened(self, opened: Callable[[], Opened]) -> Opened:
        """Open it, in turn with others where the device has few sessions."""
        if self._choice.family not in LIMITED_FAMILIES:
            return opened()
        made, self._session = open_in_turn(str(self._choice.family), opened)
        return made

    def _begin(self, frame: VideoFrame) -> list[EncodedPacket]:
        """Open the encoder with its first frame."""
        self._opens_later = False
        start = partial(_begun, self._choice, self._stream, self._frame_rate, frame)
        self._context, packets = self._opened(start)
        return self._taken(packets)

    def _drain(self, frame: VideoFrame | None) -> list[EncodedPacket]:
        assert self._context is not None, "the encoder is closed"
        try:
            return self._taken(self._context.encode(frame))
        except (av.FFmpegError, ValueError) as error:
            self.close()
            raise EncoderError(
                f"{self._choice.encoder} broke while encoding {self._choice.pix_fmt} "
                f"{self._stream.width}x{self._stream.height} ({reason_of(error)}); "
                "choose another --video-encoder"
            ) from error

    def _taken(self, given: Iterable[av.Packet[Any]]) -> list[EncodedPacket]:
        packets = [self._packet(each) for each in given]
        if packets and self._sets is None:
            self._sets = parameter_sets(self._choice.codec, packets[0].data)
        return packets

    def _packet(self, packet: av.Packet[Any]) -> EncodedPacket:
        if packet.pts is None:
            raise EncoderError(f"{self._choice.encoder} gave a packet without a frame number")
        ticks = packet.pts * packet.time_base * self._frame_rate
        return EncodedPacket(
            data=bytes(packet), frame=round(ticks), duration=1, is_keyframe=packet.is_keyframe
        )


def open_encoder(
    choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction
) -> VideoCodecContext:
    """Open an encoder without a global header, so that parameter sets come in band.

    Raises:
        EncoderError: it refuses these settings.
    """
    try:
        context = _configured(choice, stream, frame_rate)
        context.open()
    except _REFUSALS as error:
        raise _refused(choice, stream, error) from error
    return context


def _begun(
    choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction, first: VideoFrame
) -> tuple[VideoCodecContext, list[av.Packet[Any]]]:
    """An encoder of frames on a device, and what it gives for the first of them.

    PyAV hands the pool of the frame to the encoder as it opens it.
    """
    try:
        context = _configured(choice, stream, frame_rate)
        context.pix_fmt = first.format.name
        packets = context.encode(first)
    except _REFUSALS as error:
        raise _refused(choice, stream, error) from error
    return context, packets


def set_tags(context: VideoCodecContext, choice: EncoderChoice, source: StreamParameters) -> None:
    """Say in a codec context what players must know of the pictures beside their samples."""
    if choice.sample_aspect_ratio:
        context.sample_aspect_ratio = choice.sample_aspect_ratio
    color = choice.color
    context.color_range, context.colorspace = color.range, color.space
    context.color_primaries, context.color_trc = color.primaries, color.trc
    if choice.interlaced:
        context.field_order = source.field_order


def _refused(choice: EncoderChoice, stream: StreamParameters, error: Exception) -> EncoderError:
    return EncoderError(
        f"{choice.encoder} cannot encode {choice.pix_fmt} {stream.width}x{stream.height} here "
        f"({reason_of(error)}); choose another --video-encoder"
    )


def _configured(
    choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction
) -> VideoCodecContext:
    """An encoder that is not open yet."""
    context = _created(choice)
    context.width, context.height = stream.width, stream.height
    context.pix_fmt = choice.pix_fmt
    context.framerate = frame_rate
    context.time_base = 1 / frame_rate
    context.thread_count = choice.threads
    context.thread_type = "SLICE" if choice.codec == "ffv1" else "FRAME"
    set_tags(context, choice, stream)
    context.options = _local_options(choice)
    assert isinstance(context, VideoCodecContext)
    return context


def _created(choice: EncoderChoice) -> Any:
    """A codec context; where an encoder takes frames on its device only, one that uploads them."""
    if choice.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: it writes to stderr by itself
    device = HWAccel(choice.family) if choice.family in _UPLOADING_FAMILIES else None
    return av.CodecContext.create(choice.encoder, "w", hwaccel=device)


def _local_options(choice: EncoderChoice) -> dict[str, str]:
    """The job's options, and for x264 the instruction sets that give the same bytes everywhere.

    x264's AVX-512 code lets uninitialised memory into its decisions (seen with the libx264 of
    PyAV 18.1: three fills of the heap, three streams); SSSE3 up to AVX2 gave one and the same.
    """
    options = dict(choice.options)
    if choice.encoder in ("libx264", "libx264rgb") and platform.machine() in ("x86_64", "AMD64"):
        fast = cv2.checkHardwareSupport(_CPU_AVX2) and cv2.checkHardwareSupport(_CPU_FMA3)
        sets = _X264_SETS_AVX2 if fast else _X264_SETS
        options["x264-params"] = f"{options['x264-params']}:asm={sets}"
    return options


def chunk_header(
    encoder: FrameEncoder,
    choice: EncoderChoice,
    stream: StreamParameters,
    packets: Sequence[EncodedPacket],
    fields: dict[str, Any],
) -> ChunkHeader:
    """The header of a chunk, after a look at whether its packets show what the encoder was given.

    A hardware encoder is not believed in any picture, a software encoder in all but the first.

    Args:
        encoder: It has given all these packets.
        choice: The job's choice.
        stream: The source's stream.
        packets: Of the whole chunk, in decode order.
        fields: Fields of the header that the encoder cannot know.

    Raises:
        EncoderError: they show something else, or do not decode.
    """
    count = fields["frame_count"]
    header = ChunkHeader(
        codec=choice.codec,
        encoder=choice.encoder,
        pix_fmt=choice.pix_fmt,
        width=stream.width,
        height=stream.height,
        extradata=encoder.extradata,
        parameter_sets=parameter_sets(choice.codec, packets[0].data) if packets else b"",
        signatures=encoder.seen.signatures(count),
        **fields,
    )
    first = encoder.seen.check(header, packets, every=choice.family is not None)
    return replace(header, first_picture_md5=first)
