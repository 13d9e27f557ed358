"""Whether a packet that is flagged as a keyframe can be one, seen from its first slice.

Recovery points of intra-refresh H.264 are flagged as keyframes, yet are predicted from frames
before them: decoding that begins there does not give what a player shows. Not for: proof; a decoder
gives that (`farm.media.decode`).
"""

from __future__ import annotations

_START_CODE = b"\0\0\1"
_SLICE, _IDR = 1, 5
_PREDICTED = frozenset({0, 1, 3})
"""Slice types P, B and SP, modulo 5."""
_HEADER_BYTES = 12
_SEQUENCE_KINDS = {"h264": 7, "hevc": 33}
"""Type of a sequence parameter set."""
_PICTURE_KINDS = {"h264": frozenset({1, 2, 5}), "hevc": frozenset(range(32))}
_MPEG2_SEQUENCE = b"\0\0\1\xb3"
_MPEG2_HEADER_BYTES, _MPEG2_SEARCHED = 8, 256
"""A sequence header up to its rate: width, height, shape and rate of the pictures."""


def is_predicted_h264(data: memoryview, extradata: bytes) -> bool:
    """Tell whether the first slice of an H.264 packet is predicted from other frames.

    What cannot be read counts as not predicted.

    Args:
        data: The packet.
        extradata: Of the stream; says how units are delimited.

    Source: ITU-T H.264, 7.3.3 (slice header), 9.1 (Exp-Golomb codes); ISO/IEC 14496-15, 5.3.3.1.
    """
    length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
    at = _next_unit(data, 0, length_bytes)
    while 0 <= at < len(data):
        kind = data[at] & 31
        if kind in (_SLICE, _IDR):
            return (
                kind == _SLICE and _slice_type(bytes(data[at + 1 :][:_HEADER_BYTES])) in _PREDICTED
            )
        at = _next_unit(data, at, length_bytes)
    return False


def is_sequence(codec: str, unit: bytes) -> bool:
    """Whether a unit of H.264 or HEVC is a sequence parameter set."""
    kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
    return _SEQUENCE_KINDS.get(codec) == kind


def stream_header(codec: str, data: memoryview, extradata: bytes) -> bytes:
    """What a keyframe's packet itself says of the size and format of the pictures.

    Two packets that say different things may show pictures of different sizes. Empty where it says
    nothing, or the codec is not one of H.264, HEVC and MPEG-2.

    Args:
        codec: Name of the decoder.
        data: The packet.
        extradata: Of the stream; says how units are delimited.
    """
    if codec == "mpeg2video":
        at = bytes(data[:_MPEG2_SEARCHED]).find(_MPEG2_SEQUENCE)
        return b"" if at < 0 else bytes(data[at : at + _MPEG2_HEADER_BYTES])
    if codec not in _SEQUENCE_KINDS:
        return b""
    in_lengths = len(extradata) > 22 and extradata[0] == 1
    place = 4 if codec == "h264" else 21
    length_bytes = (extradata[place] & 3) + 1 if in_lengths else 0
    at = _next_unit(data, 0, length_bytes)
    while 0 <= at < len(data):
        kind = data[at] & 31 if codec == "h264" else data[at] >> 1 & 63
        following = _next_unit(data, at, length_bytes)
        if kind == _SEQUENCE_KINDS[codec]:
            end = following - (length_bytes or len(_START_CODE)) if following > 0 else len(data)
            return bytes(data[at:end]).rstrip(b"\0")
        if kind in _PICTURE_KINDS[codec]:
            return b""
        at = following
    return b""


def _next_unit(data: memoryview, at: int, length_bytes: int) -> int:
    """Return where the next unit begins, -1 where there is none.

    Args:
        data: The packet.
        at: Where the unit before it begins, 0 for the first one.
        length_bytes: Bytes of the length before each unit; 0 where start codes delimit them.
    """
    if not length_bytes:
        found = bytes(data[at:]).find(_START_CODE)
        return -1 if found < 0 else at + found + len(_START_CODE)
    if at:
        at += int.from_bytes(data[at - length_bytes : at], "big")
    return at + length_bytes


def _slice_type(header: bytes) -> int:
    """Return the type of a slice modulo 5, 2 (intra) where the header is too short."""
    bits = "".join(f"{byte:08b}" for byte in header)
    at = 0
    for _ in range(2):
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return 2
        value = int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1
        at += 2 * zeros + 1
    return value % 5
