"""Boxes in the description of a track's pictures in MP4 and QuickTime files.

Not for: what they say (`farm.media.crop`, `farm.media.dynamic_hdr`). Source: ISO/IEC 14496-12, 4.2
(boxes), 8.5.2 (sample descriptions).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farm.errors import JobError

_FULL_BOX, _VISUAL_ENTRY = 8, 78
"""Bytes of `stsd` before its entries, and of a video's entry before its own boxes."""
_MOST_HEADER = 64 << 20
Box = tuple[bytes, int, int]
"""Kind, first byte of the content, and the byte behind it."""


def entry_box(path: Path, stream_index: int, kind: bytes) -> bytes | None:
    """Content of a box that describes the pictures of a track; None where there is none.

    Args:
        path: The file.
        stream_index: Of the track, in the order of the file.
        kind: Name of the box.
    """
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
    for step in (b"mdia", b"minf", b"stbl", b"stsd"):
        place = None if place is None else _child(data, place[1], place[2], step)
    entry = None if place is None else next(_boxes(data, place[1] + _FULL_BOX, place[2]), None)
    found = None if entry is None else _child(data, entry[1] + _VISUAL_ENTRY, entry[2], kind)
    return None if found is None else data[found[1] : found[2]]


def add_entry_box(path: Path, box: bytes) -> None:
    """Put a box into the first track of an MP4 whose index lies behind its pictures.

    Raises:
        JobError: It is no such file.
    """
    with path.open("r+b") as file:
        moov = next((each for each in _file_boxes(path) if each[0] == b"moov"), None)
        if moov is None or moov[2] != path.stat().st_size:
            raise JobError(f"{path}: its index is not at the end, so that nothing can be added")
        file.seek(moov[1] - 8)
        index = bytearray(file.read())
        chain = _chain(bytes(index), 0, len(index), (b"moov", b"trak", b"mdia", b"minf", b"stbl"))
        stsd = _child(bytes(index), *chain[-1][1:], b"stsd")
        if stsd is None:
            raise JobError(f"{path}: its first track describes no pictures")
        entry = next(_boxes(bytes(index), stsd[1] + _FULL_BOX, stsd[2]))
        index[entry[2] : entry[2]] = box
        for _, start, _ in (*chain, stsd, entry):
            grown = int.from_bytes(index[start - 8 : start - 4], "big") + len(box)
            index[start - 8 : start - 4] = grown.to_bytes(4, "big")
        file.seek(moov[1] - 8)
        file.write(index)


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
