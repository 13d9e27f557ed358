"""HDR metadata of each picture (HDR10+, HDR Vivid, Dolby Vision) carried from HEVC to HEVC.

No encoder of the installed libraries writes it, but it stands in units of its own beside the coded
picture: those of a source's packet are put before the picture that shows the same frame, those of
Dolby Vision behind it. Not for: metadata of the whole video (`farm.media.hdr`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farm.media.dolby_vision import DOLBY_VISION_BOX, can_be_carried
from farm.media.hdr import CARRIED, DOLBY_VISION
from farm.media.index import VideoIndex, video_packets
from farm.media.output import OutputFrames
from farm.media.probe import open_container
from farm.media.reshape import Reshape
from farm.media.sample_entry import add_entry_box

_START = b"\0\0\1"
_PREFIX_SEI, _FIRST_NOT_PICTURE = 39, 32
_T35 = 4
_DOLBY_VISION = 62
"""Type of a unit; ITU-T H.265 leaves it to others."""
_PROVIDERS = (bytes.fromhex("b5003c000104"), bytes.fromhex("2600040005"))
"""How the messages of SMPTE ST 2094-40 (HDR10+) and of CUVA 005 (HDR Vivid) begin."""


Units = tuple[bytes, bytes]
"""Before the picture, and behind it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DynamicHdr:
    """Where the metadata of each output frame stands."""

    source: Path
    stream_index: int
    extradata: bytes
    """Of the source's stream; says how units are delimited."""
    packets: NDArray[np.int64]
    """[n] packet of the source that shows each output frame."""
    kinds: frozenset[str]
    """What is carried, as `farm.media.hdr` names it."""
    dolby_vision: bytes = b""
    """The container's record, where that is carried."""

    def add_record(self, path: Path) -> None:
        """Put the record of Dolby Vision, where there is one, into the joined MP4."""
        if self.dolby_vision:
            size = (len(self.dolby_vision) + 8).to_bytes(4, "big")
            add_entry_box(path, size + DOLBY_VISION_BOX + self.dolby_vision)

    def units(self) -> dict[int, Units]:
        """Read the units of every packet of the source that has some, as byte streams."""
        with open_container(self.source) as container:
            packets = video_packets(container, self.stream_index)
            found = (
                (number, dynamic_units(bytes(packet), self.extradata, self.kinds))
                for number, packet in enumerate(packets)
            )
            return {number: units for number, units in found if any(units)}


def dynamic_hdr(
    index: VideoIndex,
    packets: NDArray[np.int64],
    output: OutputFrames,
    reshape: Reshape,
    codec: str,
) -> DynamicHdr | None:
    """What can be carried over; None where there is nothing, or it would not be true any more.

    Args:
        index: Of the source.
        packets: Packet of each source frame.
        output: The output frames; such as are made between two have no metadata.
        reshape: Another size moves what the metadata speaks of.
        codec: Of the output.
    """
    able = CARRIED | ({DOLBY_VISION} if can_be_carried(index.dolby_vision) else set())
    kinds = able & frozenset(() if index.hdr is None else index.hdr.dynamic)
    if not kinds or {index.stream.codec, codec} != {"hevc"} or reshape.size is not None:
        return None
    if output.phases.any():
        return None
    return DynamicHdr(
        source=index.path.absolute(),
        stream_index=index.stream_index,
        extradata=index.stream.extradata,
        packets=packets[output.first],
        kinds=kinds,
        dolby_vision=index.dolby_vision if DOLBY_VISION in kinds else b"",
    )


def dynamic_units(packet: bytes, extradata: bytes, kinds: Collection[str]) -> Units:
    """The units of an HEVC packet that hold metadata of these kinds, each behind a start code."""
    length_bytes = (extradata[21] & 3) + 1 if len(extradata) > 22 and extradata[0] == 1 else 0
    units = [*(_sized_units(packet, length_bytes) if length_bytes else _started_units(packet))]
    before = (unit for unit in units if CARRIED & set(kinds) and _is_message(unit))
    after = (u for u in units if DOLBY_VISION in kinds and u and u[0] >> 1 & 63 == _DOLBY_VISION)
    return _joined(before), _joined(after)


def _joined(units: Iterable[bytes]) -> bytes:
    return b"".join(b"\0" + _START + unit for unit in units)


def with_units(packet: bytes, units: Units) -> bytes:
    """A packet of an encoder (a byte stream) with units before its first picture and at its end."""
    before, after = units
    at = packet.find(_START)
    while at >= 0:
        kind = packet[at + len(_START)] >> 1 & 63
        if kind < _FIRST_NOT_PICTURE:
            start = at - 1 if at and packet[at - 1] == 0 else at
            return packet[:start] + before + packet[start:] + after
        at = packet.find(_START, at + len(_START))
    return packet


def _is_message(unit: bytes) -> bool:
    """Whether a unit is a message of a kind that is carried; its size fits into one byte or two."""
    if len(unit) < 12 or unit[0] >> 1 & 63 != _PREFIX_SEI or unit[2] != _T35:
        return False
    at = 4
    while unit[at - 1] == 255 and at < len(unit):
        at += 1
    return unit[at:].startswith(_PROVIDERS)


def _sized_units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    at = 0
    while at + length_bytes < len(packet):
        size = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        yield packet[at : at + size]
        at += size


def _started_units(packet: bytes) -> Iterator[bytes]:
    at = packet.find(_START)
    while at >= 0:
        end = packet.find(_START, at + len(_START))
        yield packet[at + len(_START) : end if end >= 0 else None].rstrip(b"\0")
        at = end


def carrier(dynamic: DynamicHdr | None) -> Callable[[int, bytes], bytes] | None:
    """What puts its metadata into a packet of an output frame; None for nothing to do."""
    if dynamic is None:
        return None
    units = dynamic.units()

    def edit(frame: int, packet: bytes) -> bytes:
        mine = units.get(int(dynamic.packets[frame]))
        if mine is None or all(each in packet for each in mine):
            return packet
        return with_units(packet, mine)

    return edit
