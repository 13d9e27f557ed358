"""Packets of the source as the chunks of an output hold them: byte streams that say all themselves.

Not for: deciding which are taken (`farm.media.untouched`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from av.bitstream import BitStreamFilterContext

from farm.errors import MediaError
from farm.media.chunk_file import EncodedPacket
from farm.media.index import video_packets
from farm.media.parameter_sets import in_band_sets, parameter_sets, unit_kinds, with_sets
from farm.media.probe import open_container
from farm.media.source_groups import CopyRange

_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_H264_IDR = 5
_START = b"\0\0\1"
_FIRST_IRAP, _LAST_IRAP, _CRA, _BLA_WITHOUT_LEADING = 16, 23, 21, 18
"""Types of units of HEVC. Source: ITU-T H.265, table 7-1."""


def group_packets(
    source: Path, stream_index: int, ranges: Sequence[CopyRange]
) -> Iterator[tuple[CopyRange, list[EncodedPacket]]]:
    """Read the packets of ascending ranges in one pass; keyframes hold their parameter sets.

    Raises:
        MediaError: The file is not the one that was indexed.
    """
    if not ranges:
        return
    waiting = iter(ranges)
    current = next(waiting)
    data: list[tuple[bytes, bool]] = []
    with open_container(source) as container:
        stream: Any = container.streams[stream_index]
        codec = stream.codec_context.codec.canonical_name
        sets = in_band_sets(codec, bytes(stream.codec_context.extradata or b""))
        to_bytes = BitStreamFilterContext(_FILTERS[codec], stream)
        for number, packet in enumerate(video_packets(container, stream_index)):
            if number < current.packet_start:
                continue
            key = packet.is_keyframe
            content = b"".join(bytes(made) for made in to_bytes.filter(packet))
            if number == current.packet_start and not parameter_sets(codec, content):
                content = with_sets(codec, content, sets)
            data.append((content, key))
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


def as_beginning(codec: str, packet: bytes) -> bytes | None:
    """A keyframe's packet as it may follow on foreign pictures, None where it may not.

    H.264 lets a new sequence begin at an IDR picture only. HEVC has a mark for pictures that
    were cut in: a CRA picture becomes a BLA picture, which is coded in the same way.
    """
    kinds = unit_kinds(codec, packet)
    if codec == "h264":
        return packet if _H264_IDR in kinds else None
    if not any(_FIRST_IRAP <= kind <= _LAST_IRAP for kind in kinds):
        return None
    made = bytearray(packet)
    at = packet.find(_START)
    while at >= 0:
        head = at + len(_START)
        if made[head] >> 1 & 63 == _CRA:
            made[head] = made[head] & 0x81 | _BLA_WITHOUT_LEADING << 1
        at = packet.find(_START, head)
    return bytes(made)
