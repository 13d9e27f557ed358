"""XMP in image files: PNG, JPEG, WebP and TIFF; their samples stay as they are, byte for byte.

Not for: what is in the packet (`farm.marks.xmp`), encoding (`farm.media.still`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from farm.errors import JobError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEYWORD = b"XML:com.adobe.xmp"
_JPEG = b"\xff\xd8"
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_MOST_BYTES = 0xFFFF - 2
_APP0, _APP1, _START_OF_SCAN = 0xE0, 0xE1, 0xDA
_WEBP_HAS_XMP, _WEBP_HAS_ALPHA = 0x04, 0x10
_TIFF_TAG, _TIFF_BYTE = 700, 1


def embed(data: bytes, packet: bytes) -> bytes | None:
    """The image file with an XMP packet; None where its format has no place for one.

    Source: XMP specification part 3.

    Raises:
        JobError: The file is damaged.
    """
    try:
        match _format(data):
            case "png":
                return _with_png_chunk(data, packet)
            case "jpeg":
                return _with_jpeg_segment(data, packet)
            case "webp":
                return _with_webp_chunk(data, packet)
            case "tiff":
                return _with_tiff_tag(data, packet)
    except (struct.error, IndexError) as error:
        raise JobError(f"the image file is damaged ({error}); render it again") from error
    return None


def extract(data: bytes) -> bytes | None:
    """The XMP packet of an image file; None where it has none that can be read."""
    try:
        match _format(data):
            case "png":
                return _png_packet(data)
            case "jpeg":
                return _jpeg_packet(data)
            case "webp":
                found = (data[a + 8 : a + 8 + n] for kind, a, n in _riff(data) if kind == b"XMP ")
                return next(found, None)
            case "tiff":
                return _tiff_packet(data)
    except (struct.error, IndexError):
        return None
    return None


def _format(data: bytes) -> str:
    """The format by the first bytes; "" for one without a place for XMP."""
    if data.startswith(_PNG):
        return "png"
    if data.startswith(_JPEG):
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "tiff" if data[:4] in (b"II*\0", b"MM\0*") else ""


def _with_png_chunk(data: bytes, packet: bytes) -> bytes:
    """An iTXt chunk behind the header chunk."""
    body = b"iTXt" + _PNG_KEYWORD + bytes(5) + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    place = len(_PNG) + 12 + struct.unpack_from(">I", data, len(_PNG))[0]
    return data[:place] + chunk + data[place:]


def _png_packet(data: bytes) -> bytes | None:
    at = len(_PNG)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if kind == b"iTXt" and body.startswith(_PNG_KEYWORD + b"\0"):
            packed, text = body[len(_PNG_KEYWORD) + 1], body[len(_PNG_KEYWORD) + 3 :]
            return None if packed else text.split(b"\0", 2)[2]
        at += 12 + size
    return None


def _with_jpeg_segment(data: bytes, packet: bytes) -> bytes:
    """An APP1 segment, behind JFIF's own where there is one."""
    body = _JPEG_NAME + packet
    if len(body) > _JPEG_MOST_BYTES:
        raise JobError(f"an XMP packet of {len(packet)} bytes does not fit into a JPEG file")
    first, _at, end = next(_segments(data))
    place = end if first == _APP0 else len(_JPEG)
    return data[:place] + struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body + data[place:]


def _jpeg_packet(data: bytes) -> bytes | None:
    for kind, at, end in _segments(data):
        if kind == _APP1 and data.startswith(_JPEG_NAME, at + 4):
            return data[at + 4 + len(_JPEG_NAME) : end]
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the samples."""
    at = len(_JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF:
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], at, at + 2 + size
        if data[at + 1] == _START_OF_SCAN:
            return
        at += 2 + size


def _with_webp_chunk(data: bytes, packet: bytes) -> bytes:
    """An "XMP " chunk at the end; a plain file becomes an extended one first.

    Source: WebP container specification.
    """
    kind, at, size = next(_riff(data))
    if kind == b"VP8X":
        flags, rest = data[at + 8] | _WEBP_HAS_XMP, data[at + 9 :]
        head = struct.pack("<4sIB", kind, size, flags)
    else:
        width, height, alpha = _webp_canvas(kind, data[at + 8 : at + 18])
        flags, rest = _WEBP_HAS_XMP | (_WEBP_HAS_ALPHA if alpha else 0), data[at:]
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        head = struct.pack("<4sIB3x", b"VP8X", 10, flags) + sides
    chunk = struct.pack("<4sI", b"XMP ", len(packet)) + packet + bytes(len(packet) % 2)
    body = b"WEBP" + head + rest + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and payload size of each chunk."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, at, size
        at += 8 + size + size % 2


def _webp_canvas(kind: bytes, head: bytes) -> tuple[int, int, bool]:
    """Width, height and whether there is transparency, from the coded picture's first bytes."""
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    width, height = struct.unpack_from("<HH", head, 6)
    return width & 0x3FFF, height & 0x3FFF, False


def _with_tiff_tag(data: bytes, packet: bytes) -> bytes:
    """Tag 700 in a copy of the first directory, which is written at the end with the packet."""
    order, start, entries = _tiff_directory(data)
    after = struct.unpack_from(f"{order}I", data, start + 2 + 12 * len(entries))[0]
    place = len(data) + len(data) % 2
    directory = place + len(packet) + len(packet) % 2
    entry = struct.pack(f"{order}HHII", _TIFF_TAG, _TIFF_BYTE, len(packet), place)
    kept = [each for each in entries if _tiff_tag(order, each) != _TIFF_TAG]
    ordered = sorted([*kept, entry], key=lambda each: _tiff_tag(order, each))
    head = data[:4] + struct.pack(f"{order}I", directory) + data[8:]
    count = struct.pack(f"{order}H", len(ordered))
    tail = count + b"".join(ordered) + struct.pack(f"{order}I", after)
    padded = packet + bytes(len(packet) % 2)
    return head + bytes(len(data) % 2) + padded + tail


def _tiff_packet(data: bytes) -> bytes | None:
    order, _start, entries = _tiff_directory(data)
    for entry in entries:
        tag, _kind, count, place = struct.unpack(f"{order}HHII", entry)
        if tag == _TIFF_TAG:
            return data[place : place + count]
    return None


def _tiff_directory(data: bytes) -> tuple[str, int, list[bytes]]:
    """Byte order, place and entries of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    return order, start, [data[place : place + 12] for place in places]


def _tiff_tag(order: str, entry: bytes) -> int:
    return int(struct.unpack_from(f"{order}H", entry)[0])
