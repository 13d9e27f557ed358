"""Crop tags of containers: the part of the stored picture that players are told to show.

MP4 and QuickTime say it in a `clap` box, Matroska by PixelCrop. The farm renders the whole stored
picture, hidden margins included. Not for: cropping inside H.264 and HEVC, which decoders apply.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from farm.errors import JobError

_CLAP = struct.Struct(">iIiIiIiI")
"""Numerator and denominator of width, height, and the offset of the centre in x and y."""
_FULL_BOX, _VISUAL_ENTRY = 8, 78
"""Bytes of `stsd` before its entries, and of a video's entry before its own boxes."""
_MOST_HEADER = 64 << 20
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}
Box = tuple[bytes, int, int]
"""Kind, first byte of the content, and the byte behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropTag:
    """How much of each side of the stored picture is not shown, in pixels."""

    left: Fraction = Fraction(0)
    top: Fraction = Fraction(0)
    right: Fraction = Fraction(0)
    bottom: Fraction = Fraction(0)

    @property
    def idle(self) -> bool:
        """Whether all of the picture is shown."""
        return not (self.left or self.top or self.right or self.bottom)

    def __str__(self) -> str:
        sides = (self.left, self.top, self.right, self.bottom)
        return "left {:g}, top {:g}, right {:g}, bottom {:g} px".format(*map(float, sides))


def read_crop(
    path: Path, container: str, stream_index: int, size: tuple[int, int]
) -> CropTag | None:
    """The crop tag of a stream; None where there is none, or none that makes sense.

    Args:
        path: The file.
        container: The demuxer's names.
        stream_index: Of the stream; containers number their tracks in this order.
        size: Width and height of the stored picture.
    """
    names = set(container.split(","))
    if "mov" in names:
        found = _mov_crop(path, stream_index, size)
    elif "matroska" in names:
        found = _matroska_crop(path, stream_index)
    else:
        found = None
    if found is None or found.idle or min(found.left, found.top, found.right, found.bottom) < 0:
        return None
    inside = found.left + found.right < size[0] and found.top + found.bottom < size[1]
    return found if inside else None


def add_crop(path: Path, crop: CropTag, size: tuple[int, int]) -> None:
    """Put a crop tag into the first track of an MP4 whose index lies behind its pictures.

    Raises:
        JobError: It is no such file.
    """
    with path.open("r+b") as file:
        moov = next((each for each in _file_boxes(path) if each[0] == b"moov"), None)
        if moov is None or moov[2] != path.stat().st_size:
            raise JobError(f"{path}: its index is not at the end, so that no crop tag can be added")
        file.seek(moov[1] - 8)
        index = bytearray(file.read())
        chain = _chain(bytes(index), 0, len(index), (b"moov", b"trak", b"mdia", b"minf", b"stbl"))
        stsd = _child(bytes(index), *chain[-1][1:], b"stsd")
        if stsd is None:
            raise JobError(f"{path}: its first track describes no pictures")
        entry = next(_boxes(bytes(index), stsd[1] + _FULL_BOX, stsd[2]))
        box = _clap_of(crop, size)
        index[entry[2] : entry[2]] = box
        for _, start, _ in (*chain, stsd, entry):
            grown = int.from_bytes(index[start - 8 : start - 4], "big") + len(box)
            index[start - 8 : start - 4] = grown.to_bytes(4, "big")
        file.seek(moov[1] - 8)
        file.write(index)


def _clap_of(crop: CropTag, size: tuple[int, int]) -> bytes:
    """Source: ISO/IEC 14496-12, 12.1.4 (clean aperture)."""
    width, height = size[0] - crop.left - crop.right, size[1] - crop.top - crop.bottom
    across, down = (crop.left - crop.right) / 2, (crop.top - crop.bottom) / 2
    parts = (width, height, across, down)
    numbers = [each for part in parts for each in (part.numerator, part.denominator)]
    return (_CLAP.size + 8).to_bytes(4, "big") + b"clap" + _CLAP.pack(*numbers)


def _mov_crop(path: Path, stream_index: int, size: tuple[int, int]) -> CropTag | None:
    moov = next((each for each in _file_boxes(path) if each[0] == b"moov"), None)
    if moov is None or moov[2] - moov[1] > _MOST_HEADER:
        return None
    with path.open("rb") as file:
        file.seek(moov[1])
        data = file.read(moov[2] - moov[1])
    tracks = [each for each in _boxes(data, 0, len(data)) if each[0] == b"trak"]
    if stream_index >= len(tracks):
        return None
    place: Box | None = tracks[stream_index]
    for kind in (b"mdia", b"minf", b"stbl", b"stsd"):
        place = None if place is None else _child(data, place[1], place[2], kind)
    if place is None:
        return None
    entry = next(_boxes(data, place[1] + _FULL_BOX, place[2]), None)
    clap = None if entry is None else _child(data, entry[1] + _VISUAL_ENTRY, entry[2], b"clap")
    if clap is None or clap[2] - clap[1] != _CLAP.size:
        return None
    numbers = _CLAP.unpack_from(data, clap[1])
    if 0 in numbers[1::2]:
        return None
    width, height, across, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
    left, top = (size[0] - width) / 2 + across, (size[1] - height) / 2 + down
    return CropTag(left=left, top=top, right=size[0] - width - left, bottom=size[1] - height - top)


def _chain(data: bytes, start: int, stop: int, kinds: tuple[bytes, ...]) -> list[Box]:
    """Boxes inside each other, the outermost first."""
    found: list[Box] = []
    for kind in kinds:
        box = _child(data, start, stop, kind)
        if box is None:
            raise JobError(f"an MP4 of the farm has no {kind.decode()} box")
        found.append(box)
        start, stop = box[1:]
    return found


def _child(data: bytes, start: int, stop: int, kind: bytes) -> Box | None:
    return next((each for each in _boxes(data, start, stop) if each[0] == kind), None)


def _boxes(data: bytes, start: int, stop: int) -> Iterator[Box]:
    """Boxes with sizes of 32 bit, which those of an index have."""
    while start + 8 <= stop:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8 or start + size > stop:
            return
        yield data[start + 4 : start + 8], start + 8, start + size
        start += size


def _file_boxes(path: Path) -> Iterator[Box]:
    """Top-level boxes of a file."""
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], at + 8
            if size == 1:
                size, content = int.from_bytes(head[8:16], "big"), at + 16
            elif size == 0:
                size = end - at
            if size < 8 or at + size > end:
                return
            yield kind, content, at + size
            at += size


def _matroska_crop(path: Path, stream_index: int) -> CropTag | None:
    """Source: RFC 9559, 5.1.4 (tracks) and RFC 8794 (EBML)."""
    with path.open("rb") as file:
        data = file.read(1 << 20)
    segment = next((e for e in _elements(data, 0, len(data)) if e[0] == _SEGMENT), None)
    inside = () if segment is None else _elements(data, segment[1], segment[2])
    tracks = next((each for each in inside if each[0] == _TRACKS), None)
    if tracks is None:
        return None
    entries = [e for e in _elements(data, *tracks[1:]) if e[0] == _TRACK]
    if stream_index >= len(entries):
        return None
    video = next((e for e in _elements(data, *entries[stream_index][1:]) if e[0] == _VIDEO), None)
    if video is None:
        return None
    sides = {
        _CROPS[kind]: Fraction(int.from_bytes(data[start:stop], "big"))
        for kind, start, stop in _elements(data, *video[1:])
        if kind in _CROPS
    }
    return CropTag(**sides)


def _elements(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """EBML elements: number, first byte of the content, and the byte behind it."""
    while start < stop:
        kind_bytes = 9 - data[start].bit_length()
        at = start + kind_bytes
        if kind_bytes > 4 or at >= stop:
            return
        size_bytes = 9 - data[at].bit_length()
        if size_bytes > 8:
            return
        kind = int.from_bytes(data[start:at], "big")
        size = int.from_bytes(data[at : at + size_bytes], "big") & (1 << 7 * size_bytes) - 1
        content = at + size_bytes
        unknown = size == (1 << 7 * size_bytes) - 1
        end = stop if unknown else min(content + size, stop)
        yield kind, content, end
        start = end
