"""What a container says of the Dolby Vision of a stream, and what follows from it.

Not for: the metadata of each picture (`farm.media.dynamic_hdr`). Source: Dolby Vision Streams
Within the ISO Base Media File Format, 3.2 (configuration box), which Matroska holds as it is.
"""

from __future__ import annotations

from pathlib import Path

from farm.errors import MediaError
from farm.media.matroska import elements, track_entry
from farm.media.sample_entry import entry_box

DOLBY_VISION_BOX = b"dvvC"
_BOXES = (DOLBY_VISION_BOX, b"dvcC")
_MAPPING, _TYPE, _DATA = 0x41E4, 0x41E7, 0x41ED
_LEAST_RECORD, _SINGLE_LAYER_PROFILE = 5, 8
_OWN_COLOURS = (5, 10)
"""Profiles whose pictures may be in colours of their own (IPTPQc2)."""


def read_record(path: Path, container: str, stream_index: int) -> bytes:
    """Return the configuration record of a stream, empty where the container has none."""
    names, record = set(container.split(",")), b""
    if "mov" in names:
        found = (entry_box(path, stream_index, each) for each in _BOXES)
        record = next((each for each in found if each), b"")
    elif "matroska" in names:
        record = _matroska_record(path, stream_index)
    return record if len(record) >= _LEAST_RECORD else b""


def _matroska_record(path: Path, stream_index: int) -> bytes:
    """Source: RFC 9559, 5.1.4.1.17 (block addition mappings)."""
    data, entry = track_entry(path, stream_index)
    for kind, start, stop in entry:
        if kind != _MAPPING:
            continue
        inside = {number: data[low:high] for number, low, high in elements(data, start, stop)}
        if inside.get(_TYPE, b"")[-4:] in _BOXES:
            return inside.get(_DATA, b"")
    return b""


def can_be_carried(record: bytes) -> bool:
    """Whether a picture and its metadata are all of it.

    That is profile 8 of one layer, whose pictures are HDR10, HLG or SDR by themselves.
    """
    if not record or record[2] >> 1 != _SINGLE_LAYER_PROFILE:
        return False
    has_second_layer = record[3] >> 1 & 1
    return not has_second_layer


def check_colours(path: Path, record: bytes) -> None:
    """Refuse pictures that are green and purple without the metadata beside them.

    No face is found in such, and what an encoder made of them could not be looked at.

    Raises:
        MediaError: They are.
    """
    if record and record[2] >> 1 in _OWN_COLOURS and not record[4] >> 4:
        raise MediaError(
            f"{path}: is Dolby Vision of profile {record[2] >> 1}, whose pictures have no other "
            "colours than Dolby's own; convert it to HDR10 first (ffmpeg's filter libplacebo does)"
        )
