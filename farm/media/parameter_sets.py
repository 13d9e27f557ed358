"""Parameter sets of H.264 and HEVC: found in packets and in what containers keep apart.

Not for: understanding them; two chunks join when theirs are equal byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_START = b"\0\0\1"
_H264_SETS = frozenset({7, 8, 13})
"""Sequence, picture, and sequence extension."""
_HEVC_SETS = frozenset({32, 33, 34})
"""Video, sequence, and picture."""
_DELIMITERS = {"h264": 9, "hevc": 35}
_AVCC_HEADER, _HVCC_HEADER = 5, 22


def parameter_sets(codec: str, annex_b: bytes) -> bytes:
    """The parameter sets of a packet, each behind a start code; empty for codecs without them."""
    return _started(unit for unit in _units(annex_b) if _is_set(codec, unit))


def split_sets(codec: str, extradata: bytes) -> frozenset[bytes]:
    """The parameter sets in a container's extradata, of either form, without start codes."""
    return frozenset(_sets_in(codec, extradata))


def in_band_sets(codec: str, extradata: bytes) -> bytes:
    """The parameter sets in a container's extradata, in order, each behind a start code."""
    return _started(_sets_in(codec, extradata))


def with_sets(codec: str, annex_b: bytes, sets: bytes) -> bytes:
    """A packet with parameter sets before its pictures, behind its delimiter where it has one."""
    first = next(_units(annex_b), None)
    if first is None or _kind(codec, first) != _DELIMITERS[codec]:
        return sets + annex_b
    end = annex_b.find(_START, annex_b.find(_START) + len(_START))
    cut = len(annex_b) if end < 0 else end - (annex_b[end - 1] == 0)
    return annex_b[:cut] + sets + annex_b[cut:]


def unit_kinds(codec: str, annex_b: bytes) -> frozenset[int]:
    """Types of the NAL units of a packet of H.264 or HEVC."""
    return frozenset(_kind(codec, unit) for unit in _units(annex_b))


def _sets_in(codec: str, extradata: bytes) -> Iterator[bytes]:
    if codec not in ("h264", "hevc") or not extradata:
        return
    if extradata.startswith((_START, b"\0" + _START)):
        units = _units(extradata)
    else:
        units = _avcc_units(extradata) if codec == "h264" else _hvcc_units(extradata)
    yield from (unit for unit in units if _is_set(codec, unit))


def _started(units: Iterable[bytes]) -> bytes:
    return b"".join(b"\0" + _START + unit for unit in units)


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def _is_set(codec: str, unit: bytes) -> bool:
    if codec == "h264":
        return _kind(codec, unit) in _H264_SETS
    return codec == "hevc" and _kind(codec, unit) in _HEVC_SETS


def _units(annex_b: bytes) -> Iterator[bytes]:
    """NAL units of a byte stream, without start codes and the zeros before them."""
    at = annex_b.find(_START)
    while at >= 0:
        end = annex_b.find(_START, at + len(_START))
        unit = annex_b[at + len(_START) : end if end >= 0 else None].rstrip(b"\0")
        if unit:
            yield unit
        at = end


def _avcc_units(record: bytes) -> Iterator[bytes]:
    """Source: ISO/IEC 14496-15, AVCDecoderConfigurationRecord."""
    at = _AVCC_HEADER
    for mask in (0x1F, 0xFF):
        if at >= len(record):
            return
        count, at = record[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size].rstrip(b"\0") or b"\0"
            at += 2 + size


def _hvcc_units(record: bytes) -> Iterator[bytes]:
    """Source: ISO/IEC 14496-15, HEVCDecoderConfigurationRecord."""
    at = _HVCC_HEADER + 1
    for _ in range(record[_HVCC_HEADER] if len(record) > _HVCC_HEADER else 0):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size].rstrip(b"\0") or b"\0"
            at += 2 + size
