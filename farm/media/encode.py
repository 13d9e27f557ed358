"""Encoding the frames of a chunk, the same bytes on every machine.

Frames are timed by their number, so that no time passes through an encoder. Not for: choosing an
encoder (`farm.media.encoders`) or muxing (`farm.media.join`).
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from farm.errors import ChunkError, EncoderError
from farm.media.chunk_file import ChunkHeader, EncodedPacket
from farm.media.encoders import EncoderChoice
from farm.media.frame import plane_lines
from farm.media.parameter_sets import parameter_sets
from farm.media.pixel_formats import to_pix_fmt
from farm.media.signature import picture_md5, picture_signature, signature_distance
from farm.media.stream import StreamParameters

__all__ = ["ChunkEncoder", "decode_first", "open_chunk_decoder", "picture_md5", "picture_signature"]

_DEFAULT_RATE = Fraction(25)
_TRIAL_FRAMES = 3
_TRIAL_STEPS = 48
"""How far a cell of a trial picture may be off, in 8-bit steps."""
_X264_SETS = "MMX2,SSE2,SSE2Fast,SSSE3,SSE4.2"
_X264_SETS_AVX2 = f"{_X264_SETS},LZCNT,AVX,FMA3,BMI2,AVX2"
_CPU_AVX2, _CPU_FMA3 = 11, 12
"""Numbers of `cv::CpuFeatures`, which the Python module does not name."""
_DECODERS = {"av1": ("libdav1d", "av1")}


class ChunkEncoder:
    """One encoder for one chunk: give it every frame in order, then flush it."""

    def __init__(
        self, choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction | None = None
    ) -> None:
        """Open the encoder.

        Args:
            choice: The job's choice.
            stream: The source's stream, for size and colour.
            frame_rate: A hint for rate control; the same for all chunks of a job.

        Raises:
            EncoderError: the encoder refuses these settings.
        """
        self._choice = choice
        self._stream = stream
        self._signatures = bytearray()
        self._sets: bytes | None = None
        self._context = _open(choice, stream, frame_rate or stream.frame_rate or _DEFAULT_RATE)

    def encode(self, frame: VideoFrame, frame_number: int) -> list[EncodedPacket]:
        """Encode the next frame; its pts, picture type and time base are overwritten.

        Args:
            frame: A picture of the stream, in any pixel format.
            frame_number: Within the chunk, from 0, without gaps.

        Raises:
            EncoderError: the encoder broke.
        """
        ready = to_pix_fmt(frame, self._choice.pix_fmt, self._stream.color, self._choice.color)
        self._signatures += picture_signature(ready)
        ready.pict_type = 0
        ready.time_base = self._context.time_base
        ready.pts = frame_number
        return self._drain(ready)

    def flush(self) -> list[EncodedPacket]:
        """Get the packets that the encoder holds back; it takes no frame after that.

        Raises:
            EncoderError: the encoder broke.
        """
        return self._drain(None)

    @property
    def extradata(self) -> bytes:
        """The encoder's global header; empty where parameter sets are in band."""
        if self._choice.codec in ("h264", "hevc"):
            return b""
        return bytes(self._context.extradata or b"")

    @property
    def parameter_sets(self) -> bytes:
        """In-band parameter sets of the first packet; empty before it and for codecs without."""
        return self._sets or b""

    @property
    def signatures(self) -> bytes:
        """64 bytes for every frame so far, of the picture as it was handed to the encoder."""
        return bytes(self._signatures)

    def _drain(self, frame: VideoFrame | None) -> list[EncodedPacket]:
        try:
            packets = [self._packet(each) for each in self._context.encode(frame)]
        except (av.FFmpegError, ValueError) as error:
            raise EncoderError(
                f"{self._choice.encoder} broke while encoding {self._choice.pix_fmt} "
                f"{self._stream.width}x{self._stream.height} ({error}); choose another encoder"
            ) from error
        if packets and self._sets is None:
            self._sets = parameter_sets(self._choice.codec, packets[0].data)
        return packets

    def _packet(self, packet: av.Packet[Any]) -> EncodedPacket:
        if packet.pts is None:
            raise EncoderError(f"{self._choice.encoder} gave a packet without a frame number")
        ticks = packet.pts * packet.time_base * self._context.framerate
        return EncodedPacket(
            data=bytes(packet), frame=round(ticks), duration=1, is_keyframe=packet.is_keyframe
        )


def _open(
    choice: EncoderChoice, stream: StreamParameters, frame_rate: Fraction
) -> VideoCodecContext:
    """Open an encoder without a global header, so that parameter sets come in band."""
    try:
        context: Any = av.CodecContext.create(choice.encoder, "w")
        context.width, context.height = stream.width, stream.height
        context.pix_fmt = choice.pix_fmt
        context.framerate = frame_rate
        context.time_base = 1 / frame_rate
        context.thread_count = choice.threads
        context.thread_type = "SLICE" if choice.codec == "ffv1" else "FRAME"
        if choice.sample_aspect_ratio:
            context.sample_aspect_ratio = choice.sample_aspect_ratio
        color = choice.color
        context.color_range, context.colorspace = color.range, color.space
        context.color_primaries, context.color_trc = color.primaries, color.trc
        if choice.interlaced:
            context.field_order = stream.field_order
        context.options = _local_options(choice)
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise EncoderError(
            f"{choice.encoder} cannot encode {choice.pix_fmt} {stream.width}x{stream.height} here "
            f"({_reason(error)}); choose another --video-encoder"
        ) from error
    assert isinstance(context, VideoCodecContext)
    return context


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


def open_chunk_decoder(header: ChunkHeader) -> VideoCodecContext:
    """Open a decoder for the packets of a chunk file.

    Raises:
        ChunkError: there is no decoder for the codec.
    """
    for name in _DECODERS.get(header.codec, (header.codec,)):
        try:
            context: Any = av.CodecContext.create(name, "r")
        except (av.FFmpegError, ValueError):
            continue
        context.width, context.height = header.width, header.height
        context.pix_fmt = header.pix_fmt
        if header.extradata:
            context.extradata = header.extradata
        context.thread_count = 1
        assert isinstance(context, VideoCodecContext)
        return context
    raise ChunkError(f"no decoder for {header.codec} is installed; choose another --video-encoder")


def decode_first(packets: Iterable[EncodedPacket], header: ChunkHeader) -> VideoFrame:
    """Decode the first keyframe of a chunk by itself, as it will be shown.

    Raises:
        ChunkError: it does not decode.
    """
    for frame in decode_packets((packet for packet in list(packets)[:1]), header):
        return frame
    raise ChunkError(
        f"chunk {header.chunk_index:05d}: what {header.encoder} made does not decode; "
        "choose another --video-encoder"
    )


def decode_packets(packets: Iterable[EncodedPacket], header: ChunkHeader) -> Iterator[VideoFrame]:
    """Decode packets of a chunk; frames come in display order with their number as pts.

    Raises:
        ChunkError: they do not decode.
    """
    context = open_chunk_decoder(header)
    try:
        for packet in packets:
            yield from context.decode(_av_packet(packet))
        yield from context.decode(None)
    except av.FFmpegError as error:
        raise ChunkError(
            f"chunk {header.chunk_index:05d} does not decode ({_reason(error)}); render it again"
        ) from error


def _av_packet(packet: EncodedPacket) -> av.Packet[Any]:
    made: av.Packet[Any] = av.Packet(packet.data)
    made.pts = packet.frame
    made.is_keyframe = packet.is_keyframe
    return made


def header_of(
    encoder: ChunkEncoder, choice: EncoderChoice, stream: StreamParameters, fields: dict[str, Any]
) -> ChunkHeader:
    """The header of a chunk whose encoder is flushed; `fields` are those that it cannot know."""
    return ChunkHeader(
        codec=choice.codec,
        encoder=choice.encoder,
        pix_fmt=choice.pix_fmt,
        width=stream.width,
        height=stream.height,
        extradata=encoder.extradata,
        parameter_sets=encoder.parameter_sets,
        signatures=encoder.signatures,
        **fields,
    )


def with_first_picture(header: ChunkHeader, packets: Iterable[EncodedPacket]) -> ChunkHeader:
    """The header with the hash of the first picture, decoded back from what was encoded.

    Raises:
        ChunkError: it does not decode.
    """
    return replace(header, first_picture_md5=picture_md5(decode_first(packets, header)))


def check_encoder(choice: EncoderChoice, stream: StreamParameters) -> None:
    """Encode and decode a few pictures of the job's size, to believe an encoder only after that.

    Raises:
        EncoderError: it does not open here, or what it makes shows something else.
    """
    encoder = ChunkEncoder(choice, stream)
    packets: list[EncodedPacket] = []
    for number in range(_TRIAL_FRAMES):
        packets += encoder.encode(_trial_picture(choice, stream, number), number)
    packets += encoder.flush()
    fields = {"chunk_index": 0, "frame_start": 0, "frame_count": _TRIAL_FRAMES, "fingerprint": ""}
    header = header_of(encoder, choice, stream, fields)
    shown = b"".join(picture_signature(each) for each in decode_packets(packets, header))
    same = len(shown) == len(header.signatures)
    if not same or signature_distance(shown, header.signatures)[0] > _TRIAL_STEPS:
        raise EncoderError(
            f"{choice.encoder} runs here but what it makes does not show what it was given; "
            "choose another --video-encoder"
        )


def _trial_picture(choice: EncoderChoice, stream: StreamParameters, number: int) -> VideoFrame:
    """A slope of gray that moves from frame to frame."""
    picture = VideoFrame(stream.width, stream.height, "gray")
    lines = plane_lines(picture, 0)
    ramp = np.linspace(32, 192, lines.shape[1]) + 8 * number
    lines[:] = ramp.astype(np.uint8)
    return picture.reformat(format=choice.pix_fmt)


def _reason(error: Exception) -> str:
    log = getattr(error, "log", None)
    return str(log[2]).strip() if log else str(getattr(error, "strerror", None) or error)
