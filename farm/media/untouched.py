"""Stretches that no processor changed keep the source's own packets, where a join shows nothing.

A chunk whose pictures are those of the source is replaced by the packets that the source has for
them, if these decode by themselves to the very same pictures and go on seamlessly into the chunks
beside them. Both is tried by decoding. Not for: seeing which chunks are untouched; workers do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from av.bitstream import BitStreamFilterContext

from farm.errors import ChunkError, MediaError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import (
    ChunkHeader,
    EncodedPacket,
    read_header,
    read_packets,
    write_chunk,
)
from farm.media.encoders import EncoderChoice
from farm.media.index import VideoIndex, video_packets
from farm.media.join import Chunk
from farm.media.parameter_sets import parameter_sets
from farm.media.plan import FramePlan
from farm.media.probe import open_container
from farm.media.signature import (
    SIGNATURE_BYTES,
    picture_md5,
    picture_signature,
    signature_distance,
)
from farm.media.stream import StreamParameters

COPIED = "copied"
"""In the header of a chunk: its packets are those of the source."""
_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_WORST_CELL, _MEAN_CELL = 40, 12.0
"""How far a picture may be from the one that was encoded, as `farm.media.verify_pictures`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRange:
    """The packets of the source that show the frames of one chunk and no others."""

    chunk_index: int
    packet_start: int
    packet_stop: int
    """Half-open."""
    order: tuple[int, ...]
    """Number within the chunk of the frame that each packet shows."""


def copy_ranges(
    index: VideoIndex,
    frames: FramePlan,
    choice: EncoderChoice,
    output: StreamParameters,
    chunks: Sequence[tuple[int, int]],
) -> tuple[CopyRange, ...]:
    """What might be copied: chunks whose frames are whole, closed runs of the source's packets.

    Args:
        index: The source's packets.
        frames: The plan.
        choice: The encoder of the other chunks.
        output: The stream as it is encoded.
        chunks: Output frames of each chunk, half-open.
    """
    stream = index.stream
    same = ("codec", "width", "height", "pix_fmt", "field_order", "color")
    if (
        choice.codec != stream.codec
        or choice.codec not in _FILTERS
        or choice.pix_fmt.replace("yuvj", "yuv") != stream.pix_fmt.replace("yuvj", "yuv")
        or any(getattr(output, name) != getattr(stream, name) for name in same)
    ):
        return ()
    found = (
        _range(index, frames, number, start, stop) for number, (start, stop) in enumerate(chunks)
    )
    return tuple(each for each in found if each is not None)


def _range(
    index: VideoIndex, frames: FramePlan, number: int, start: int, stop: int
) -> CopyRange | None:
    """The packets of one chunk, None where they are no closed run."""
    shown = frames.output
    sources = shown.first[start:stop]
    if shown.phases[start:stop].any() or (np.diff(sources) != 1).any():
        return None
    packets = frames.packets[sources]
    low, high = int(packets.min()), int(packets.max()) + 1
    if high - low != len(packets) or int(packets[0]) != low or not index.keyframes[low]:
        return None
    return CopyRange(
        chunk_index=number,
        packet_start=low,
        packet_stop=high,
        order=tuple(int(rank) for rank in np.argsort(packets)),
    )


def with_copies(
    chunks: tuple[Chunk, ...],
    ranges: Sequence[CopyRange],
    source: Path,
    stream_index: int,
    folder: Path,
) -> tuple[Chunk, ...]:
    """The chunks, those replaced by copies that are untouched, decode alike and join unseen.

    Args:
        chunks: All, in order.
        ranges: What might be copied.
        source: The file.
        stream_index: Of the rendered stream.
        folder: Where copies are written.
    """
    wanted = [each for each in ranges if chunks[each.chunk_index].header.info.get("touched") == 0]
    copies: dict[int, Chunk] = {}
    for each, packets in _packets_of(source, stream_index, wanted):
        copied = _copy(chunks[each.chunk_index], packets, folder)
        if copied is not None:
            copies[each.chunk_index] = copied
    return _joining(chunks, copies)


def _copy(chunk: Chunk, packets: list[EncodedPacket], folder: Path) -> Chunk | None:
    """A chunk file of the source's packets, None where they do not show the same by themselves."""
    head = chunk.header
    sets = parameter_sets(head.codec, packets[0].data)
    header = replace(
        head, parameter_sets=sets, extradata=b"", encoder=COPIED, info=head.info | {COPIED: True}
    )
    if not sets:
        return None
    try:
        shown = b"".join(picture_signature(frame) for frame in decode_packets(packets, header))
        if shown != head.signatures:
            return None
        first = next(decode_packets(packets[:1], header), None)
        if first is None:
            return None
        path = folder / f"copied-{head.chunk_index:05d}.chunk"
        write_chunk(path, replace(header, first_picture_md5=picture_md5(first)), packets)
    except ChunkError:
        return None
    return Chunk(path=path, header=read_header(path))


def _joining(chunks: tuple[Chunk, ...], copies: dict[int, Chunk]) -> tuple[Chunk, ...]:
    """Put copies in, one after another, where the pictures on both sides of them stay right."""
    chosen = list(chunks)
    for number in sorted(copies):
        before = chosen[number - 1 : number] if number else []
        after = list(chunks[number + 1 : number + 2])
        trial = [*before, copies[number], *after]
        if all(_is_seamless(one, two) for one, two in pairwise(trial)):
            chosen[number] = copies[number]
    return tuple(chosen)


def _is_seamless(one: Chunk, two: Chunk) -> bool:
    """Whether one decoder shows every picture of both chunks, in order."""
    due = one.header.signatures + two.header.signatures
    count = one.header.frame_count
    packets = chain(
        read_packets(one.path),
        (replace(each, frame=each.frame + count) for each in read_packets(two.path)),
    )
    try:
        shown = [picture_signature(frame) for frame in decode_packets(packets, one.header)]
    except ChunkError:
        return False
    if len(shown) * SIGNATURE_BYTES != len(due):
        return False
    return all(
        _is_like(due[i * SIGNATURE_BYTES : (i + 1) * SIGNATURE_BYTES], each)
        for i, each in enumerate(shown)
    )


def _is_like(due: bytes, shown: bytes) -> bool:
    worst, mean = signature_distance(due, shown)
    return worst <= _WORST_CELL and mean <= _MEAN_CELL


def _packets_of(
    source: Path, stream_index: int, ranges: Sequence[CopyRange]
) -> Iterator[tuple[CopyRange, list[EncodedPacket]]]:
    """Read the packets of ascending ranges in one pass, as byte streams with parameter sets."""
    if not ranges:
        return
    waiting = iter(ranges)
    current = next(waiting)
    data: list[tuple[bytes, bool]] = []
    with open_container(source) as container:
        stream: Any = container.streams[stream_index]
        codec = stream.codec_context.codec.canonical_name
        to_bytes = BitStreamFilterContext(_FILTERS[codec], stream)
        for number, packet in enumerate(video_packets(container, stream_index)):
            if number < current.packet_start:
                continue
            key = packet.is_keyframe
            data.append((b"".join(bytes(made) for made in to_bytes.filter(packet)), key))
            if number + 1 < current.packet_stop:
                continue
            yield current, _encoded(current, data)
            data = []
            following = next(waiting, None)
            if following is None:
                return
            current = following
    raise MediaError(f"{source}: changed while it was read; run the command again")


def _encoded(each: CopyRange, data: list[tuple[bytes, bool]]) -> list[EncodedPacket]:
    return [
        EncodedPacket(data=content, frame=each.order[i], duration=1, is_keyframe=key)
        for i, (content, key) in enumerate(data)
    ]


def is_copied(header: ChunkHeader) -> bool:
    """Whether the packets of a chunk are those of the source."""
    return bool(header.info.get(COPIED))
