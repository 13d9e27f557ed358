"""Bit by bit reading and writing of H.264 headers.

Source: ITU-T H.264, 7.2 to 7.4 (syntax) and 9.1 (Exp-Golomb codes).
Not for: decoding pictures.
"""

from __future__ import annotations

import re

START_CODE = b"\0\0\0\1"


class BitReader:
    """Reads a payload from its first bit."""

    def __init__(self, payload: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in payload)
        self.position = 0

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned number."""
        start, self.position = self.position, self.position + count
        return int(self._bits[start : self.position], 2)

    def golomb(self) -> int:
        """The next unsigned Exp-Golomb code."""
        zeros = self._bits.index("1", self.position) - self.position
        self.position += zeros
        return self.bits(zeros + 1) - 1

    def read_so_far(self) -> str:
        """All bits before the position, as text."""
        return self._bits[: self.position]


class BitWriter:
    """Collects bits; bytes may be added where it is aligned."""

    def __init__(self, bits: str = "") -> None:
        self._whole = bytearray()
        self._bits = bits

    def bits(self, value: int, count: int) -> BitWriter:
        """Append `count` bits of an unsigned number."""
        self._bits += f"{value:0{count}b}"
        return self

    def golomb(self, *values: int) -> BitWriter:
        """Append unsigned Exp-Golomb codes."""
        for value in values:
            code = f"{value + 1:b}"
            self._bits += "0" * (len(code) - 1) + code
        return self

    def aligned(self, content: bytes) -> BitWriter:
        """Append zero bits up to the next byte, then whole bytes."""
        self._flush()
        self._whole += content
        return self

    def payload(self) -> bytes:
        """Everything, closed by the stop bit."""
        self._bits += "1"
        self._flush()
        return bytes(self._whole)

    def _flush(self) -> None:
        self._bits += "0" * (-len(self._bits) % 8)
        if self._bits:
            self._whole += int(self._bits, 2).to_bytes(len(self._bits) // 8, "big")
        self._bits = ""


def escaped(payload: bytes) -> bytes:
    """Payload with emulation prevention bytes, so that it holds no start code."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def unescaped(payload: bytes) -> bytes:
    """Payload without emulation prevention bytes."""
    return payload.replace(b"\0\0\3", b"\0\0")


def sps_without_vui(unit: bytes) -> bytes:
    """Sequence parameter set unit (with its header byte) that ends before its VUI.

    What goes with the VUI is the bitstream restriction: how many frames a decoder must hold back.
    """
    reader = BitReader(unescaped(unit[1:]))
    profile = reader.bits(8)
    reader.bits(16)  # constraints, level
    reader.golomb()  # sps id
    if profile in (100, 110, 122, 244):
        if reader.golomb() == 3:  # chroma format
            reader.bits(1)
        reader.golomb()
        reader.golomb()
        if reader.bits(2) & 1:
            raise ValueError("scaling lists are not read")
    reader.golomb()  # frame_num bits
    if reader.golomb() != 0:  # poc type
        raise ValueError("only picture order count type 0 is read")
    for _ in range(2):  # poc bits, reference frames
        reader.golomb()
    reader.bits(1)
    for _ in range(2):  # width, height
        reader.golomb()
    if not reader.bits(1):  # frame_mbs_only
        reader.bits(1)
    reader.bits(1)
    if reader.bits(1):  # cropping
        for _ in range(4):
            reader.golomb()
    return unit[:1] + escaped(BitWriter(reader.read_so_far()).bits(0, 1).payload())
