"""XMP in MP4 and QuickTime: a `uuid` box at the end of the file, where it moves nothing.

What stands before it keeps its place, so every offset stays true and the index stays in front.
Not for: what is in the packet (`farm.marks.xmp`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from farm.errors import JobError

XMP_BOX = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
"""Source: XMP specification part 3, MPEG-4."""
C2PA_BOX = UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
"""Source: C2PA specification, embedding into BMFF."""
_MOST_PACKET_BYTES = 1 << 20


def append_xmp(path: Path, packet: bytes) -> None:
    """Write a packet behind everything else.

    Raises:
        JobError: The file is no chain of whole boxes.
    """
    with path.open("r+b") as file:
        end = sum(size for _kind, _start, size in _boxes(file))
        if end != file.seek(0, 2):
            raise JobError(f"{path}: its boxes do not end with the file; render it again")
        file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", XMP_BOX) + packet)


def read_box(path: Path, uuid: bytes) -> bytes | None:
    """What is in the first top-level `uuid` box of a kind; None where there is none."""
    with path.open("rb") as file:
        for kind, start, size in _boxes(file):
            if kind != b"uuid":
                continue
            file.seek(start + 8)
            if file.read(16) == uuid:
                return file.read(min(size - 24, _MOST_PACKET_BYTES))
    return None


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and size of each top-level box, up to the first that is none.

    Source: ISO/IEC 14496-12, 4.2.
    """
    length = file.seek(0, 2)
    start = 0
    while start + 8 <= length:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
        size = size or length - start
        if size < 8:
            return
        yield kind, start, size
        start += size
