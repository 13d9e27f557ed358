from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import JobError
from farm.marks.image_file import embed, extract
from farm.marks.mark import Mark
from farm.marks.xmp import build_packet

PACKET = build_packet(Mark(altered_by=("face_swapper",)))
LOSSLESS_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]
CASES = [
    (".png", 3, "uint8", []),
    (".png", 4, "uint16", []),
    (".jpg", 3, "uint8", []),
    (".webp", 3, "uint8", LOSSLESS_WEBP),
    (".webp", 4, "uint8", LOSSLESS_WEBP),
    (".webp", 3, "uint8", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    (".tif", 3, "uint8", []),
    (".tif", 3, "uint16", []),
]


def coded(suffix: str, channels: int, dtype: str, options: list[int]) -> bytes:
    high = np.iinfo(dtype).max
    pixels: Any = np.random.default_rng(3).integers(0, high, (33, 21, channels)).astype(dtype)
    done, data = cv2.imencode(suffix, pixels, options)
    assert done
    return data.tobytes()


def pixels(data: bytes) -> NDArray[Any]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


@pytest.mark.parametrize(("suffix", "channels", "dtype", "options"), CASES)
def test_a_packet_goes_in_and_comes_out_and_no_sample_changes(
    suffix: str, channels: int, dtype: str, options: list[int]
) -> None:
    plain = coded(suffix, channels, dtype, options)
    assert extract(plain) is None
    marked = embed(plain, PACKET)
    assert marked is not None
    assert extract(marked) == PACKET
    assert np.array_equal(pixels(marked), pixels(plain))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_another_reader_finds_the_packet(suffix: str) -> None:
    marked = embed(coded(suffix, 3, "uint8", []), PACKET)
    assert marked is not None
    _pixels, kinds, chunks = cv2.imdecodeWithMetadata(np.frombuffer(marked, np.uint8))
    found = {kind: bytes(chunk) for kind, chunk in zip(kinds, chunks, strict=True)}
    assert found[cv2.IMAGE_METADATA_XMP].rstrip(b"\0").endswith(PACKET)


def test_a_profile_and_a_packet_live_side_by_side() -> None:
    profile = np.frombuffer(bytes(range(128)) * 2, np.uint8)
    picture = np.full((8, 8, 3), 90, np.uint8)
    _done, data = cv2.imencodeWithMetadata(
        ".webp", picture, [cv2.IMAGE_METADATA_ICCP], [profile], LOSSLESS_WEBP
    )
    marked = embed(data.tobytes(), PACKET)
    assert marked is not None
    _pixels, kinds, _chunks = cv2.imdecodeWithMetadata(np.frombuffer(marked, np.uint8))
    assert {cv2.IMAGE_METADATA_ICCP, cv2.IMAGE_METADATA_XMP} <= set(kinds)


def test_a_format_without_a_place_is_left_alone() -> None:
    assert embed(coded(".bmp", 3, "uint8", []), PACKET) is None
    assert extract(b"BM") is None


def test_a_packet_that_does_not_fit_into_a_jpeg_is_refused() -> None:
    with pytest.raises(JobError, match="JPEG"):
        embed(coded(".jpg", 3, "uint8", []), bytes(70_000))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_damaged_files_are_read_to_their_end_and_no_further(suffix: str) -> None:
    whole = embed(coded(suffix, 3, "uint8", []), PACKET)
    assert whole is not None
    for length in range(0, len(whole), 7):
        extract(whole[:length])
