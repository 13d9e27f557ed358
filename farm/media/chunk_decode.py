"""Decoding the packets of a chunk file again, by software.

Not for: decoding the source (`farm.media.decode`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from farm.errors import ChunkError
from farm.media.chunk_file import ChunkHeader, EncodedPacket
from farm.media.reasons import reason_of

_DECODERS = {"av1": ("libdav1d", "av1")}


def open_chunk_decoder(header: ChunkHeader, threads: int = 1) -> VideoCodecContext:
    """Open a decoder for the packets of a chunk file.

    Args:
        header: Of the chunk.
        threads: 0 lets the decoder choose.

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
        context.thread_count = threads
        assert isinstance(context, VideoCodecContext)
        return context
    raise ChunkError(f"no decoder for {header.codec} is installed; choose another --video-encoder")


def decode_packets(
    packets: Iterable[EncodedPacket], header: ChunkHeader, threads: int = 1
) -> Iterator[VideoFrame]:
    """Decode packets of a chunk; frames come in display order with their number as pts.

    Args:
        packets: In decode order.
        header: Of the chunk.
        threads: 0 lets the decoder choose.

    Raises:
        ChunkError: they do not decode.
    """
    context = open_chunk_decoder(header, threads)
    try:
        for packet in packets:
            yield from context.decode(_av_packet(packet))
        yield from context.decode(None)
    except av.FFmpegError as error:
        raise ChunkError(
            f"chunk {header.chunk_index:05d} does not decode ({reason_of(error)}); render it again"
        ) from error


def _av_packet(packet: EncodedPacket) -> av.Packet[Any]:
    made: av.Packet[Any] = av.Packet(packet.data)
    made.pts = packet.frame
    made.is_keyframe = packet.is_keyframe
    return made
