"""Crop tags of containers: the part of the stored picture that players are told to show.

MP4 and QuickTime say it in a `clap` box, Matroska by PixelCrop. The farm renders the whole stored
picture, hidden margins included. Not for: cropping inside H.264 and HEVC, which decoders apply.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from farm.media.matroska import elements, track_entry
from farm.media.sample_entry import add_entry_box, entry_box

_CLAP = struct.Struct(">iIiIiIiI")
"""Numerator and denominator of width, height, and the offset of the centre in x and y."""
_VIDEO = 0xE0
_CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


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
    add_entry_box(path, _clap_of(crop, size))


def _clap_of(crop: CropTag, size: tuple[int, int]) -> bytes:
    """Source: ISO/IEC 14496-12, 12.1.4 (clean aperture)."""
    width, height = size[0] - crop.left - crop.right, size[1] - crop.top - crop.bottom
    across, down = (crop.left - crop.right) / 2, (crop.top - crop.bottom) / 2
    parts = (width, height, across, down)
    numbers = [each for part in parts for each in (part.numerator, part.denominator)]
    return (_CLAP.size + 8).to_bytes(4, "big") + b"clap" + _CLAP.pack(*numbers)


def _mov_crop(path: Path, stream_index: int, size: tuple[int, int]) -> CropTag | None:
    clap = entry_box(path, stream_index, b"clap")
    if clap is None or len(clap) != _CLAP.size:
        return None
    numbers = _CLAP.unpack(clap)
    if 0 in numbers[1::2]:
        return None
    width, height, across, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
    left, top = (size[0] - width) / 2 + across, (size[1] - height) / 2 + down
    return CropTag(left=left, top=top, right=size[0] - width - left, bottom=size[1] - height - top)


def _matroska_crop(path: Path, stream_index: int) -> CropTag | None:
    """Source: RFC 9559, 5.1.4 (tracks)."""
    data, entry = track_entry(path, stream_index)
    video = next((each for each in entry if each[0] == _VIDEO), None)
    if video is None:
        return None
    sides = {
        _CROPS[kind]: Fraction(int.from_bytes(data[start:stop], "big"))
        for kind, start, stop in elements(data, *video[1:])
        if kind in _CROPS
    }
    return CropTag(**sides)
