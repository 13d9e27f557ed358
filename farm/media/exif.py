"""EXIF of images: read, cleaned of what is no longer true, and written anew.

Thumbnails and maker notes are never kept: the one shows the picture as it was, the other cannot be
moved and may hold such a picture too. Not for: samples (`farm.media.still`), XMP (`farm.marks`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value by type. Source: TIFF 6.0, section 2; Exif 2.32, 4.6.2."""
_UNITS: Final = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
"""Bytes that are swapped together."""
_LONG = 4
_MOST_ENTRIES, _MOST_BYTES = 512, 1 << 20
ORIENTATION = 0x0112
_EXIF, _GPS = 0x8769, 0x8825
ICC_PROFILE = 0x8773
_DESCRIPTIVE = frozenset(
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298}
    | {0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F}
)
"""Tags of the main directory that say something of the picture and not of its storage."""
_UNTRUE = frozenset({0x927C, 0xA002, 0xA003, 0xA005})
"""Maker note, width, height, interoperability: of the picture as it was stored."""
_PRIVATE = frozenset(
    {0x010F, 0x0110, 0x0131, 0x013C, 0xA420}
    | {0xA430, 0xA431, 0xA432, 0xA433, 0xA434, 0xA435, 0xA436, 0xA437, 0xA438}
)
"""Maker, model, software, host; unique number, owner, serial numbers and lens."""

Entry = tuple[int, int, bytes]
"""Type, number of values, and their bytes, little-endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exif:
    """What EXIF says, by tag."""

    main: dict[int, Entry] = field(default_factory=dict)
    exif: dict[int, Entry] = field(default_factory=dict)
    gps: dict[int, Entry] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.main or self.exif or self.gps)


def read_exif(data: bytes) -> Exif:
    """Read EXIF, or the directory of a TIFF file; what cannot be read is left out."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return Exif()
    main = _directory(data, order, int(struct.unpack_from(f"{order}I", data, 4)[0]))
    return Exif(
        main=main,
        exif=_directory(data, order, _pointer(main, _EXIF)),
        gps=_directory(data, order, _pointer(main, _GPS)),
    )


def orientation(exif: Exif) -> int:
    """The orientation, 1 to 8; 1 where none is said."""
    kind, count, value = exif.main.get(ORIENTATION, (3, 1, b"\1\0"))
    number = int.from_bytes(value[:2], "little") if kind == 3 and count == 1 else 1
    return number if 1 <= number <= 8 else 1


def cleaned(exif: Exif, *, strip: bool) -> Exif:
    """What stays true of a picture that was turned upright and edited.

    Args:
        exif: Of the source.
        strip: Whether what tells place and device is left out.
    """
    gone = _UNTRUE | (_PRIVATE if strip else frozenset())
    return Exif(
        main={tag: e for tag, e in exif.main.items() if tag in _DESCRIPTIVE - gone},
        exif={tag: e for tag, e in exif.exif.items() if tag not in gone},
        gps={} if strip else exif.gps,
    )


def exif_bytes(exif: Exif) -> bytes:
    """EXIF as it stands in PNG, JPEG and WebP, beginning with its TIFF header."""
    return _assembled(exif.main, exif, b"II*\0\x08\0\0\0")


def with_tiff_tags(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    """A little-endian TIFF file with these tags and a colour profile added."""
    if data[:4] != b"II*\0":
        return data
    stored = _directory(data, "<", int(struct.unpack_from("<I", data, 4)[0]), whole=True)
    merged = exif.main | stored
    if profile:
        merged[ICC_PROFILE] = (7, len(profile), profile)
    even = data + b"\0" * (len(data) % 2)
    return _assembled(merged, exif, even[:4] + struct.pack("<I", len(even)) + even[8:])


def is_profile(data: bytes) -> bool:
    """Whether this is a whole ICC profile, as writers demand. Source: ICC.1, 7.2."""
    size = int.from_bytes(data[:4], "big")
    return len(data) >= 132 and size == len(data) and data[36:40] == b"acsp"


def tiff_profile(data: bytes) -> bytes | None:
    """The colour profile of a TIFF file."""
    entry = read_exif(data).main.get(ICC_PROFILE)
    return entry[2] if entry else None


def _assembled(main: dict[int, Entry], exif: Exif, before: bytes) -> bytes:
    """`before`, then the main directory, then those that it points to."""
    parts = {tag: each for tag, each in ((_EXIF, exif.exif), (_GPS, exif.gps)) if each}
    pointers: dict[int, Entry] = {tag: (_LONG, 1, bytes(4)) for tag in parts}
    main = {tag: e for tag, e in main.items() if tag not in (_EXIF, _GPS)} | pointers
    at = len(before) + len(_written(main, len(before)))
    bodies = []
    for tag, entries in parts.items():
        bodies.append(_written(entries, at))
        main[tag] = (_LONG, 1, struct.pack("<I", at))
        at += len(bodies[-1])
    return before + _written(main, len(before)) + b"".join(bodies)


def _written(entries: dict[int, Entry], start: int) -> bytes:
    """A directory that begins at `start`, its values behind it."""
    head = struct.pack("<H", len(entries))
    behind = start + 2 + 12 * len(entries) + 4
    values = b""
    for tag in sorted(entries):
        kind, count, value = entries[tag]
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack("<I", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        head += struct.pack("<HHI", tag, kind, count) + place
    return head + bytes(4) + values


def _directory(data: bytes, order: str, start: int, *, whole: bool = False) -> dict[int, Entry]:
    """The entries of a directory, values little-endian; `whole` keeps those of any size."""
    found: dict[int, Entry] = {}
    if not 0 < start <= len(data) - 2:
        return found
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for place in range(start + 2, start + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        if place + 12 > len(data):
            break
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, place)
        size = _SIZES.get(kind, 0) * number
        if not size or (size > _MOST_BYTES and not whole and tag != ICC_PROFILE):
            continue
        at = place + 8 if size <= 4 else int(struct.unpack_from(f"{order}I", data, place + 8)[0])
        if at + size <= len(data):
            found[tag] = (kind, number, _little(data[at : at + size], kind, order))
    return found


def _little(value: bytes, kind: int, order: str) -> bytes:
    unit = _UNITS.get(kind, 1)
    if order == "<" or unit == 1:
        return value
    return b"".join(value[i : i + unit][::-1] for i in range(0, len(value), unit))


def _pointer(main: dict[int, Entry], tag: int) -> int:
    kind, count, value = main.get(tag, (0, 0, b""))
    return int.from_bytes(value, "little") if kind in (_LONG, 13) and count == 1 else 0
