"""The chunk file: encoded packets of one chunk, kept exactly, since no container keeps them all.

Layout, all numbers little-endian: magic, sizes and their CRC; the header as JSON and its CRC; the
packet table and its CRC; then each packet's bytes and side data, with one CRC per packet in the
table. A file that is too short, too long or has one flipped bit is refused. Not for: players.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

from farm.errors import ChunkError
from farm.files import Files, LocalFiles

_MAGIC = b"ffchunk\x01"
_PREAMBLE = struct.Struct("<8sIIQI")
_ROW = struct.Struct("<qqIBII")
_SIDE = struct.Struct("<HI")
_CRC = struct.Struct("<I")
_KEYFRAME = 1
_NO_DURATION = -1
_BYTES_FIELDS = frozenset({"extradata", "parameter_sets", "signatures"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPacket:
    """One packet out of an encoder, in decode order, timed by the frame that it shows."""

    data: bytes
    frame: int
    """Number within the chunk of the frame that the packet displays."""
    duration: int | None
    """Frames that it stays; the finisher replaces it by the plan's time."""
    is_keyframe: bool
    side_data: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkHeader:
    """What a chunk file says of its packets."""

    chunk_index: int
    frame_start: int
    """First output frame of the chunk, counted over the whole output."""
    frame_count: int
    fingerprint: str
    """Hash of the job's settings; chunks of different jobs never join."""
    codec: str
    """Codec name as a decoder knows it (`h264`, `hevc`, `vp9`, `av1`, `ffv1`)."""
    encoder: str
    pix_fmt: str
    width: int
    height: int
    extradata: bytes = b""
    parameter_sets: bytes = b""
    """In-band parameter sets of the first keyframe, Annex B; empty where the codec has none."""
    first_picture_md5: str = ""
    """Of the samples of the first frame as the encoded chunk decodes."""
    signatures: bytes = b""
    """64 bytes of luma means per frame, in display order."""
    info: dict[str, object] = field(default_factory=dict)
    """JSON: timings, counters, provider, lost frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the packet table."""

    frame: int
    duration: int | None
    size: int
    is_keyframe: bool
    side_size: int
    crc: int


def write_chunk(
    path: Path,
    header: ChunkHeader,
    packets: Iterable[EncodedPacket],
    files: Files | None = None,
) -> tuple[int, str]:
    """Write a chunk file so that it is either whole under its name or not there.

    Args:
        path: Where it belongs.
        header: What it holds.
        packets: In decode order.
        files: Who puts it there; None for this machine.

    Returns:
        Its size in bytes and its SHA-256.

    Raises:
        ChunkError: the folder cannot be written or the disk is full.
    """
    head = _header_bytes(header)
    rows, bodies = _table(packets)
    preamble = _PREAMBLE.pack(_MAGIC, len(head), len(rows), sum(map(len, bodies)), 0)
    preamble = preamble[: -_CRC.size] + _CRC.pack(zlib.crc32(preamble[: -_CRC.size]))
    parts = [preamble, head, _crc(head), rows, _crc(rows), *bodies]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    try:
        (files or LocalFiles()).write(path, parts)
    except OSError as error:
        raise ChunkError(
            f"chunk {header.chunk_index:05d}: {path} cannot be written "
            f"({error.strerror or error}); free space there or choose another --job-dir"
        ) from error
    return sum(map(len, parts)), digest.hexdigest()


def read_header(path: Path) -> ChunkHeader:
    """Read what a chunk file holds, checking its size, its header and its table.

    Raises:
        ChunkError: the file is missing, cut short, or damaged.
    """
    with _opened(path) as file:
        return _read_head(path, file)[0]


def read_packets(path: Path) -> Iterator[EncodedPacket]:
    """Yield the packets in decode order, each checked against its CRC.

    Raises:
        ChunkError: the file is missing, cut short, or damaged.
    """
    with _opened(path) as file:
        for row in _read_head(path, file)[1]:
            body = file.read(row.size + row.side_size)
            if zlib.crc32(body) != row.crc:
                raise _damaged(path, f"the packet of frame {row.frame} is not what was written")
            yield EncodedPacket(
                data=body[: row.size],
                frame=row.frame,
                duration=row.duration,
                is_keyframe=row.is_keyframe,
                side_data=tuple(_split_side_data(body[row.size :])),
            )


def read_order(path: Path) -> list[int]:
    """Read the frame number within the chunk of every packet, in decode order, without the bytes.

    Raises:
        ChunkError: the file is missing, cut short, or damaged.
    """
    with _opened(path) as file:
        return [row.frame for row in _read_head(path, file)[1]]


def _header_bytes(header: ChunkHeader) -> bytes:
    values = asdict(header)
    for name in _BYTES_FIELDS:
        values[name] = base64.b64encode(values[name]).decode("ascii")
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _header_of(path: Path, data: bytes) -> ChunkHeader:
    """The record behind the JSON header."""
    try:
        values = json.loads(data)
        for name in _BYTES_FIELDS:
            values[name] = base64.b64decode(values[name], validate=True)
        return ChunkHeader(**{each.name: values[each.name] for each in fields(ChunkHeader)})
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its header cannot be understood ({error})") from error


def _table(packets: Iterable[EncodedPacket]) -> tuple[bytes, list[bytes]]:
    """The packet table and, for each packet, its bytes with its side data behind."""
    rows, bodies = bytearray(), []
    for packet in packets:
        side = b"".join(
            _SIDE.pack(len(name), len(data)) + name.encode("ascii") + data
            for name, data in packet.side_data
        )
        body = packet.data + side
        duration = _NO_DURATION if packet.duration is None else packet.duration
        flags = _KEYFRAME if packet.is_keyframe else 0
        rows += _ROW.pack(
            packet.frame, duration, len(packet.data), flags, len(side), zlib.crc32(body)
        )
        bodies.append(body)
    return bytes(rows), bodies


def _split_side_data(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(data):
        name_size, size = _SIDE.unpack_from(data, at)
        at += _SIDE.size
        name = data[at : at + name_size].decode("ascii")
        at += name_size
        yield name, data[at : at + size]
        at += size


def _read_head(path: Path, file: BinaryIO) -> tuple[ChunkHeader, list[_Row]]:
    """Header and table; leaves the file at the first packet."""
    preamble = file.read(_PREAMBLE.size)
    if len(preamble) < _PREAMBLE.size or not preamble.startswith(_MAGIC):
        raise _damaged(path, "it does not begin like one")
    _, head_size, table_size, body_size, crc = _PREAMBLE.unpack(preamble)
    if zlib.crc32(preamble[: -_CRC.size]) != crc:
        raise _damaged(path, "its sizes are not what was written")
    expected = _PREAMBLE.size + head_size + table_size + body_size + 2 * _CRC.size
    found = os.fstat(file.fileno()).st_size
    if found != expected:
        raise _damaged(path, f"it has {found} bytes where {expected} were written")
    header = _header_of(path, _checked(path, file, head_size, "header"))
    table = _checked(path, file, table_size, "packet table")
    return header, [_row(values) for values in _ROW.iter_unpack(table)]


def _row(values: tuple[int, ...]) -> _Row:
    frame, duration, size, flags, side_size, crc = values
    return _Row(
        frame=frame,
        duration=None if duration == _NO_DURATION else duration,
        size=size,
        is_keyframe=bool(flags & _KEYFRAME),
        side_size=side_size,
        crc=crc,
    )


def _checked(path: Path, file: BinaryIO, size: int, what: str) -> bytes:
    """Read a part that has its CRC behind it."""
    data = file.read(size)
    if file.read(_CRC.size) != _crc(data):
        raise _damaged(path, f"its {what} is not what was written")
    return data


def _crc(data: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(data))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror or error})") from error


def _damaged(path: Path, why: str) -> ChunkError:
    return ChunkError(f"{path} is no whole chunk file: {why}; delete it and run the command again")
