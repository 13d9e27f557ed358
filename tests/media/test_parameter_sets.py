from __future__ import annotations

import pytest

from farm.media.parameter_sets import parameter_sets, split_sets

SPS, PPS, SLICE = b"\x67\x64\0\x0a\xac", b"\x68\xee\x3c\x80", b"\x65\x88\x84"
ANNEX_B = b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + SLICE


def test_parameter_sets_are_cut_out_of_a_packet() -> None:
    assert parameter_sets("h264", ANNEX_B) == b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS


@pytest.mark.parametrize("codec", ["vp9", "av1", "ffv1"])
def test_other_codecs_have_none(codec: str) -> None:
    assert parameter_sets(codec, ANNEX_B) == b""
    assert split_sets(codec, ANNEX_B) == frozenset()


def test_both_forms_of_extradata_give_the_same_sets() -> None:
    avcc = b"\x01\x64\0\x0a\xff\xe1\0\x05" + SPS + b"\x01\0\x04" + PPS
    assert split_sets("h264", avcc) == split_sets("h264", ANNEX_B) == {SPS, PPS}


def test_hevc_records_are_read() -> None:
    units = [b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc1"]
    arrays = b"".join(
        bytes([kind]) + b"\0\1" + len(unit).to_bytes(2, "big") + unit
        for kind, unit in zip((32, 33, 34), units, strict=True)
    )
    record = b"\x01" + bytes(21) + b"\x03" + arrays
    assert split_sets("hevc", record) == frozenset(units)
