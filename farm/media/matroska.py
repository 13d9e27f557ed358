"""Elements of Matroska files that the libraries do not hand out.

Not for: what they say (`farm.media.crop`, `farm.media.dolby_vision`). Source: RFC 8794 (EBML), RFC
9559 (Matroska).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SEGMENT, _TRACKS, _TRACK = 0x18538067, 0x1654AE6B, 0xAE
_HEAD_BYTES = 1 << 20
Element = tuple[int, int, int]
"""Number, first byte of the content, and the byte behind it."""


def track_entry(path: Path, stream_index: int) -> tuple[bytes, list[Element]]:
    """Return the head of a file, and the elements that describe a track; none without such a track.

    Args:
        path: The file.
        stream_index: Of the stream; the file lists its tracks in this order.
    """
    with path.open("rb") as file:
        data = file.read(_HEAD_BYTES)
    segment = next((each for each in elements(data, 0, len(data)) if each[0] == _SEGMENT), None)
    inside = () if segment is None else elements(data, segment[1], segment[2])
    tracks = next((each for each in inside if each[0] == _TRACKS), None)
    if tracks is None:
        return data, []
    entries = [each for each in elements(data, *tracks[1:]) if each[0] == _TRACK]
    if stream_index >= len(entries):
        return data, []
    return data, list(elements(data, *entries[stream_index][1:]))


def elements(data: bytes, start: int, stop: int) -> Iterator[Element]:
    """Yield the elements between two places, one after another."""
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
