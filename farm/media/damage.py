"""Signs that a file is not whole, found without decoding.

Not for: pictures that do not decode; those are found where frames are listed (`farm.media.plan`).
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.media.clock import FORWARD_S

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_HEAD_BYTES = 4096
_SHORT_S = Fraction(1, 2)
_JOIN_PACKETS = 3
"""How near to a restart of the clock a corrupt packet only shows a join of two recordings."""
_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide"}
)


def find_damage(
    path: Path,
    container: InputContainer,
    video: VideoStream,
    *,
    dts: NDArray[np.int64],
    corrupt: NDArray[np.bool_],
    last_end_s: Fraction,
    broken: str,
) -> list[str]:
    """List what shows that a file is not whole; to be called when it has been read.

    Args:
        path: The file.
        container: The file, read to its end.
        video: Its main stream.
        dts: [n] ticks of all packets of that stream.
        corrupt: [n] packets that the demuxer calls corrupt.
        last_end_s: Where the last packet of any stream ends.
        broken: Why reading stopped before the end; empty where it did not.
    """
    damage = []
    if broken:
        damage.append(f"reading stopped: {broken}")
    if count := _corrupt_count(dts, corrupt, Fraction(video.time_base or 0)):
        damage.append(f"{count} packets flagged corrupt")
    if "mov" in container.format.name:
        promised_frames = len(video.index_entries)
        if promised_frames > len(dts):
            damage.append(f"the header promises {promised_frames} frames, {len(dts)} are there")
        elif box := _cut_box(path):
            damage.append(f"the file ends inside its last box ({box})")
    promised_s = _promised_end_s(container, video)
    if promised_s is not None and promised_s - last_end_s > _SHORT_S:
        end, whole = float(last_end_s), float(promised_s)
        damage.append(f"the file ends at {end:.2f} s, its header promises {whole:.2f} s")
    elif missing := _missing_bytes(path):
        damage.append(f"the file says that it is {missing} bytes longer")
    return damage


def _corrupt_count(dts: NDArray[np.int64], corrupt: NDArray[np.bool_], tick: Fraction) -> int:
    """Return how many packets are corrupt otherwise than by a join of two recordings."""
    steps = np.diff(dts)
    joins = np.flatnonzero((steps < 0) | (steps * float(tick) > float(FORWARD_S))) + 1
    places = np.flatnonzero(corrupt)
    far = np.abs(places[:, None] - joins[None, :]) > _JOIN_PACKETS
    return int(far.all(axis=1).sum())


def _promised_end_s(container: InputContainer, video: VideoStream) -> Fraction | None:
    """Return the end that the header states, for formats whose header states one."""
    names = set(container.format.name.split(","))
    if "avi" in names and video.duration and video.time_base:
        return Fraction(video.duration * video.time_base)
    if "matroska" in names and container.duration and container.duration > 0:
        return Fraction(container.duration, av.time_base)
    return None


def _missing_bytes(path: Path) -> int:
    """Return how many bytes a Matroska or AVI file lacks to its size; 0 where it does not say.

    Source: RFC 8794, 4 and 6 (sizes of elements); RFC 9559, 5.1 (Segment); Microsoft's RIFF.
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"RIFF"):
        return max(0, int.from_bytes(head[4:8], "little") + 8 - end)
    if not head.startswith(_EBML):
        return 0
    size, at = _element_size(head, len(_EBML))
    at += size
    if head[at : at + len(_SEGMENT)] != _SEGMENT:
        return 0
    size, at = _element_size(head, at + len(_SEGMENT))
    return max(0, at + size - end)


def _element_size(data: bytes, at: int) -> tuple[int, int]:
    """Return the size of an EBML element, 0 where it is left open, and where its content begins."""
    if at >= len(data) or not data[at]:
        return 0, at
    length = 9 - data[at].bit_length()
    ones = (1 << 7 * length) - 1
    size = int.from_bytes(data[at : at + length], "big") & ones
    return 0 if size == ones else size, at + length


def _cut_box(path: Path) -> str:
    """Return the name of the top-level box that the file ends inside of, empty where it does not.

    Source: ISO/IEC 14496-12, 4.2 (sizes of boxes).
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        while (at := file.tell()) + 8 <= end:
            size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            if size == 1:
                size = int.from_bytes(file.read(8), "big")
            if size < 8 or kind not in _BOXES:
                return ""
            if at + size > end:
                return kind.decode()
            file.seek(at + size, os.SEEK_SET)
    return ""
