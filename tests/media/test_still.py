from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms

from farm.errors import InputError, MediaError
from farm.media.exif import orientation as orientation_in
from farm.media.exif import read_exif
from farm.media.still import losses, read_still, write_still


def picture(components: int, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    shape = (7, 10) if components == 1 else (7, 10, components)
    high = np.iinfo(dtype).max
    return np.random.default_rng(3).integers(0, high, shape, dtype, endpoint=True)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("components", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_and_transparency_survive(
    tmp_path: Path, suffix: str, components: int, dtype: type[np.uint8] | type[np.uint16]
) -> None:
    pixels = picture(components, dtype)
    source, output = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    cv2.imwrite(str(source), pixels)
    still = read_still(source)
    assert losses(still, suffix) == []
    write_still(still, output)
    again = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)
    assert again is not None
    assert again.dtype == dtype
    assert np.array_equal(again, pixels)
    assert sorted(p.name for p in tmp_path.iterdir()) == [source.name, output.name]


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(4, np.uint16))
    still = read_still(tmp_path / "a.png")
    said = " ".join(losses(still, ".JPG"))
    for word in ("transparency", "16 bits are rounded", "lossy"):
        assert word in said
    write_still(still, tmp_path / "b.jpg")
    again = cv2.imread(str(tmp_path / "b.jpg"), cv2.IMREAD_UNCHANGED)
    assert again is not None
    assert again.shape == (7, 10, 3)
    assert again.dtype == np.dtype(np.uint8)


def exif(orientation: int) -> bytes:
    """EXIF data with nothing but an orientation."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_as_a_viewer_would(tmp_path: Path, orientation: int) -> None:
    done, data = cv2.imencodeWithMetadata(
        ".png",
        picture(3, np.uint8),
        [cv2.IMAGE_METADATA_EXIF],
        [np.frombuffer(exif(orientation), np.uint8)],
    )
    assert done
    source = tmp_path / "a.png"
    source.write_bytes(data.tobytes())
    as_viewed = cv2.imread(str(source), cv2.IMREAD_COLOR)
    assert as_viewed is not None
    assert np.array_equal(read_still(source).frame.to_ndarray(), as_viewed)


def test_the_colour_profile_stays_and_an_orientation_that_was_followed_goes(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    done, data = cv2.imencodeWithMetadata(
        ".jpg",
        picture(3, np.uint8),
        [cv2.IMAGE_METADATA_ICCP, cv2.IMAGE_METADATA_EXIF],
        [np.frombuffer(profile, np.uint8), np.frombuffer(exif(1), np.uint8)],
    )
    assert done
    (tmp_path / "a.jpg").write_bytes(data.tobytes())
    write_still(read_still(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    written = np.fromfile(tmp_path / "b.jpg", np.uint8)
    _, kinds, chunks = cv2.imdecodeWithMetadata(written, flags=cv2.IMREAD_UNCHANGED)
    assert list(kinds) == [cv2.IMAGE_METADATA_ICCP]
    assert np.asarray(chunks[0]).tobytes() == profile


@pytest.mark.parametrize(
    "data",
    [b"", b"II", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*junk", exif(9)],
)
def test_strange_exif_means_upright(data: bytes) -> None:
    assert orientation_in(read_exif(data)) == 1


def test_big_endian_exif_is_read_too() -> None:
    data = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    assert orientation_in(read_exif(data)) == 6


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image at all")
    with pytest.raises(MediaError, match="is no image that can be read"):
        read_still(tmp_path / "a.png")
    with pytest.raises(MediaError, match="cannot be read"):
        read_still(tmp_path / "no.png")


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), np.zeros((4, 4, 3), np.float32))
    with pytest.raises(MediaError, match="convert it to PNG"):
        read_still(tmp_path / "a.tif")


def test_a_folder_that_is_gone_is_an_input_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(3, np.uint8))
    with pytest.raises(InputError, match="cannot be written"):
        write_still(read_still(tmp_path / "a.png"), tmp_path / "no" / "b.png")
