from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ImageCms

from farm.media.exif import (
    Exif,
    cleaned,
    exif_bytes,
    orientation,
    read_exif,
    tiff_profile,
    with_tiff_tags,
)
from farm.media.still import read_still, write_still

MAKE, ORIENTATION, DATE, NOTE, LENS, COPYRIGHT = 0x010F, 0x0112, 0x9003, 0x927C, 0xA434, 0x8298
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def text(value: str) -> tuple[int, int, bytes]:
    data = value.encode() + b"\0"
    return 2, len(data), data


CAMERA = Exif(
    main={
        MAKE: text("Maker of cameras"),
        ORIENTATION: (3, 1, struct.pack("<H", 6)),
        COPYRIGHT: text("somebody"),
        0x011A: (5, 1, struct.pack("<II", 300, 1)),
    },
    exif={DATE: text("2026:01:02 03:04:05"), NOTE: (7, 9, b"thumbnail"), LENS: text("Lens")},
    gps={1: text("N"), 2: (5, 3, struct.pack("<6I", 48, 1, 8, 1, 0, 1))},
)


def with_thumbnail(exif: bytes) -> bytes:
    """The same EXIF with a second directory behind, as cameras put their thumbnails."""
    (count,) = struct.unpack_from("<H", exif, 8)
    link = 10 + 12 * count
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, len(exif) + 30, 0x0202, 4, 1, 9, 0)
    return exif[:link] + struct.pack("<I", len(exif)) + exif[link + 4 :] + second + b"FACE" * 3


def big_endian(exif: Exif) -> bytes:
    """A main directory of one text and one number, most significant byte first."""
    make = exif.main[MAKE][2]
    head = struct.pack(">HHHII", 2, MAKE, 2, len(make), 8 + 2 + 24 + 4)
    turn = struct.pack(">HHIHH", ORIENTATION, 3, 1, 6, 0)
    return b"MM\0*" + struct.pack(">I", 8) + head + turn + bytes(4) + make


def test_what_is_written_is_read_again() -> None:
    assert read_exif(exif_bytes(CAMERA)) == Exif(
        main=CAMERA.main | {tag: e for tag, e in read_exif(exif_bytes(CAMERA)).main.items()
                            if tag in (0x8769, 0x8825)},
        exif=CAMERA.exif,
        gps=CAMERA.gps,
    )  # fmt: skip


def test_big_endian_values_are_read_as_what_they_mean() -> None:
    found = read_exif(big_endian(CAMERA))
    assert found.main[MAKE] == CAMERA.main[MAKE]
    assert orientation(found) == 6


def test_thumbnails_and_maker_notes_go_and_the_rest_stays() -> None:
    found = exif_bytes(cleaned(read_exif(with_thumbnail(exif_bytes(CAMERA))), strip=False))
    again = read_exif(found)
    assert b"FACE" not in found
    assert b"thumbnail" not in found
    assert orientation(again) == 1
    assert again.main[MAKE] == CAMERA.main[MAKE]
    assert again.main[COPYRIGHT] == CAMERA.main[COPYRIGHT]
    assert again.exif[DATE] == CAMERA.exif[DATE]
    assert again.gps == CAMERA.gps


def test_stripping_takes_place_and_device_out() -> None:
    again = read_exif(exif_bytes(cleaned(CAMERA, strip=True)))
    assert not again.gps
    assert MAKE not in again.main
    assert LENS not in again.exif
    assert again.exif[DATE] == CAMERA.exif[DATE]


@pytest.mark.parametrize("seed", range(30))
def test_damaged_exif_is_read_as_far_as_it_goes(seed: int) -> None:
    data = bytearray(exif_bytes(CAMERA))
    chance = np.random.default_rng(seed)
    for at in chance.integers(4, len(data), 8):
        data[at] = chance.integers(0, 256)
    exif_bytes(cleaned(read_exif(bytes(data)), strip=False))
    read_exif(bytes(data[: chance.integers(0, len(data))]))


def source(folder: Path, suffix: str, pixels: Any) -> Path:
    path = folder / f"source{suffix}"
    if suffix == ".tif":
        done, data = cv2.imencode(".tif", pixels)
        assert done
        upright = Exif(main=CAMERA.main | {ORIENTATION: (3, 1, b"\1\0")}, exif=CAMERA.exif)
        path.write_bytes(with_tiff_tags(data.tobytes(), upright, PROFILE))
        return path
    kinds = [cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_ICCP]
    chunks = [np.frombuffer(each, np.uint8) for each in (exif_bytes(CAMERA), PROFILE)]
    done, data = cv2.imencodeWithMetadata(suffix, pixels, kinds, chunks, [])
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize("before", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("after", [".png", ".jpg", ".webp", ".tif"])
def test_exif_and_profile_go_from_every_format_to_every_other(
    tmp_path: Path, before: str, after: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (8, 12, 3), np.uint8)
    still = read_still(source(tmp_path, before, pixels))
    write_still(still, tmp_path / f"out{after}")
    again = read_still(tmp_path / f"out{after}")
    assert again.frame.to_ndarray().shape == still.frame.to_ndarray().shape
    assert again.color_profile == PROFILE
    assert again.exif.main[MAKE] == CAMERA.main[MAKE]
    assert again.exif.exif[DATE] == CAMERA.exif[DATE]
    assert orientation(again.exif) == 1


def test_a_profile_that_is_none_is_ignored(tmp_path: Path) -> None:
    pixels = np.zeros((8, 12, 3), np.uint8)
    chunk = np.frombuffer(b"no profile at all" * 9, np.uint8)
    _, data = cv2.imencodeWithMetadata(".jpg", pixels, [cv2.IMAGE_METADATA_ICCP], [chunk], [])
    (tmp_path / "a.jpg").write_bytes(data.tobytes())
    assert read_still(tmp_path / "a.jpg").color_profile is None
    write_still(read_still(tmp_path / "a.jpg"), tmp_path / "a.png")


def test_sixteen_bit_tiff_keeps_samples_and_profile(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 65535, (8, 12, 3), np.uint16)
    path = source(tmp_path, ".tif", pixels)
    write_still(read_still(path), tmp_path / "out.tif")
    again = cv2.imread(str(tmp_path / "out.tif"), cv2.IMREAD_UNCHANGED)
    assert again is not None
    assert np.array_equal(again, pixels)
    assert tiff_profile((tmp_path / "out.tif").read_bytes()) == PROFILE
