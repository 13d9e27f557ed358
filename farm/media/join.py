"""Joining chunk files into one video-only MP4 that a demuxer reads back exactly.

MP4 is the step before every output: it keeps ticks, durations, display matrix, aspect ratio and
colour of every codec that the farm encodes. Not for: the other streams (`farm.media.final_task`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from farm.errors import JobError
from farm.media.chunk_file import (
    ChunkHeader,
    EncodedPacket,
    read_header,
    read_order,
    read_packets,
)
from farm.media.encode import set_tags
from farm.media.encoders import EncoderChoice
from farm.media.restamp import PacketTimes, restamp
from farm.media.stream import StreamParameters
from farm.media.timing import FrameTimes

EditPacket = Callable[[int, bytes], bytes]
"""Gets the output frame that a packet shows, and its bytes; returns other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk file and what it says of itself."""

    path: Path
    header: ChunkHeader


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinedVideo:
    """The video-only file and the times of its packets."""

    path: Path
    times: PacketTimes
    first_packets: tuple[int, ...]
    """Number, in decode order, of each chunk's first packet."""


def read_chunks(
    paths: tuple[Path, ...], frame_count: int, fingerprints: Collection[str] = ()
) -> tuple[Chunk, ...]:
    """Read all headers and check that the chunks are of one job, of one kind, and leave no gap.

    Args:
        paths: In order.
        frame_count: How many frames they must hold.
        fingerprints: Of chunks that may be joined though they were rendered with other settings;
            without them all have that of the first.

    Raises:
        ChunkError: a chunk file is damaged.
        JobError: they do not belong together or frames are missing.
    """
    chunks = tuple(Chunk(path=path, header=read_header(path)) for path in paths)
    if not chunks:
        raise JobError("there are no chunks to join; render again")
    following = 0
    for chunk in chunks:
        if chunk.header.frame_start != following:
            raise JobError(
                f"{chunk.path}: begins at frame {chunk.header.frame_start} where frame "
                f"{following} is due; delete it and run the command again"
            )
        following += chunk.header.frame_count
        _check_alike(chunks[0], chunk, fingerprints)
    if following != frame_count:
        raise JobError(
            f"the chunks hold {following} of {frame_count} frames; run the command again"
        )
    return chunks


def _check_alike(first: Chunk, other: Chunk, fingerprints: Collection[str]) -> None:
    """Refuse a chunk that a decoder set up for the first one would show wrongly."""
    names: tuple[str, ...] = (
        "fingerprint",
        "codec",
        "encoder",
        "pix_fmt",
        "width",
        "height",
        "extradata",
        "parameter_sets",
    )
    if first.header.info.get("copied") or other.header.info.get("copied"):
        # Their own parameter sets stand in band before each of their keyframes; that one decoder
        # shows them in a row was tried (`farm.media.untouched`).
        names = ("fingerprint", "codec", "pix_fmt", "width", "height", "extradata")
    for name in names:
        belongs = name == "fingerprint" and other.header.fingerprint in fingerprints
        if getattr(first.header, name) != getattr(other.header, name) and not belongs:
            raise JobError(
                f"{other.path}: its {name.replace('_', ' ')} is not that of the first chunk, so "
                "they cannot be joined; delete it and run the command again"
            )


def join_chunks(
    chunks: tuple[Chunk, ...],
    target: Path,
    *,
    choice: EncoderChoice,
    stream: StreamParameters,
    times: FrameTimes,
    shift: Fraction = Fraction(0),
    edit: EditPacket | None = None,
) -> JoinedVideo:
    """Write all packets with the plan's times into one MP4.

    Args:
        chunks: In order.
        target: The file to write.
        choice: How the packets were encoded; gives the tags.
        stream: The source's stream; gives size and display matrix.
        times: The plan's times.
        shift: Seconds that are added to every time.
        edit: Adds to packets what the encoder did not write; None leaves them as they are.

    Raises:
        ChunkError: a chunk file is damaged.
        JobError: the packets are not what the plan says, or the disk is full.
    """
    orders = [_absolute_order(chunk) for chunk in chunks]
    stamped = restamp(np.concatenate(orders), times, shift)
    try:
        packets = _all_packets(chunks)
        if edit is not None:
            packets = _edited(packets, np.concatenate(orders), edit)
        _mux(chunks, packets, target, stamped, choice, stream)
    except (av.FFmpegError, OSError) as error:
        raise JobError(
            f"{target} cannot be written ({error.strerror or error}); "
            "free space there or choose another --job-dir"
        ) from error
    starts = np.cumsum([0] + [len(order) for order in orders])[:-1]
    return JoinedVideo(path=target, times=stamped, first_packets=tuple(int(i) for i in starts))


def _absolute_order(chunk: Chunk) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Output frame number of every packet of a chunk."""
    order = np.array(read_order(chunk.path), dtype=np.int64)
    if len(order) != chunk.header.frame_count or not np.array_equal(
        np.sort(order), np.arange(len(order))
    ):
        raise JobError(
            f"{chunk.path}: holds {len(order)} packets for {chunk.header.frame_count} frames; "
            "delete it and run the command again"
        )
    return order + chunk.header.frame_start


def _mux(
    chunks: tuple[Chunk, ...],
    packets: Iterable[EncodedPacket],
    target: Path,
    times: PacketTimes,
    choice: EncoderChoice,
    source: StreamParameters,
) -> None:
    head = chunks[0].header
    options = {
        "movie_timescale": str(times.timescale),
        "video_track_timescale": str(times.timescale),
    }
    first = next(read_packets(chunks[0].path))
    with (
        av.open(_one_packet_file(head, first)) as pattern,
        av.open(f"file:{target}", "w", format="mp4", container_options=options) as output,
    ):
        assert isinstance(output, OutputContainer)
        stream: Any = output.add_stream_from_template(pattern.streams.video[0], opaque=True)
        _describe(stream, head, choice, source)
        if head.codec == "hevc":
            # `hvc1` lets the muxer throw parameter sets out of the packets.
            copied = any(each.header.info.get("copied") for each in chunks)
            stream.codec_context.codec_tag = "hev1" if copied else "hvc1"
        stream.time_base = Fraction(1, times.timescale)
        for number, packet in enumerate(packets):
            made: av.Packet[Any] = av.Packet(packet.data)
            made.stream = stream
            made.time_base = Fraction(1, times.timescale)
            made.pts, made.dts = int(times.pts[number]), int(times.dts[number])
            made.duration = int(times.durations[number])
            made.is_keyframe = packet.is_keyframe
            output.mux_one(made)


def _describe(
    stream: Any, head: ChunkHeader, choice: EncoderChoice, source: StreamParameters
) -> None:
    """Set on the joined stream what the muxer writes into its header."""
    context = stream.codec_context
    context.extradata = head.extradata or head.parameter_sets or None
    context.width, context.height = head.width, head.height
    context.pix_fmt = head.pix_fmt
    set_tags(context, choice, source)
    if source.frame_rate:
        context.framerate = source.frame_rate
    if source.display_matrix:
        stream.set_display_matrix(source.display_matrix)


def _one_packet_file(head: ChunkHeader, packet: EncodedPacket) -> io.BytesIO:
    """A file in memory with one packet, whose stream serves as a pattern for the joined one.

    A stream that is muxed without a codec context takes neither extradata nor colour.
    """
    memory = io.BytesIO()
    rate = Fraction(25)
    with av.open(memory, "w", format="nut") as container:
        stream: Any = container.add_mux_stream(
            head.codec, rate=rate, width=head.width, height=head.height
        )
        stream.time_base = 1 / rate
        made: av.Packet[Any] = av.Packet(packet.data)
        made.stream, made.time_base = stream, 1 / rate
        made.pts = made.dts = 0
        made.is_keyframe = True
        container.mux_one(made)
    memory.seek(0)
    return memory


def _all_packets(chunks: tuple[Chunk, ...]) -> Iterator[EncodedPacket]:
    for chunk in chunks:
        yield from read_packets(chunk.path)


def _edited(
    packets: Iterable[EncodedPacket],
    order: np.ndarray[Any, np.dtype[np.int64]],
    edit: EditPacket,
) -> Iterator[EncodedPacket]:
    """The packets with what is added to each."""
    for packet, frame in zip(packets, order.tolist(), strict=True):
        yield replace(packet, data=edit(frame, packet.data))
