from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.errors import SettingsError
from farm.media.encoders import choose_encoder
from farm.media.final import finish
from farm.media.sequence import sequence_notes
from farm.media.stream import ColorTags
from tests.media.finish_case import make_source, parameters, picture, request_for, write_chunks

COUNT = 5


def written(tmp_path: Path, name: str, pix_fmt: str = "yuv420p", **changes: object) -> list[Path]:
    stream = replace(parameters(pix_fmt), color=ColorTags(range=1, space=1), **changes)  # type: ignore[arg-type]
    choice = choose_encoder("ffv1", 0, stream)[0]
    paths = write_chunks(tmp_path / "chunks", choice, stream, (2, 3))
    source = make_source(tmp_path / "in.mkv", COUNT)
    (tmp_path / "images").mkdir(exist_ok=True)
    output = tmp_path / "images" / name
    finish(request_for(tmp_path, source, choice, paths, COUNT, output=output, stream=stream))
    return sorted((tmp_path / "images").iterdir())


def test_every_frame_is_an_image_counted_from_one(tmp_path: Path) -> None:
    images = written(tmp_path, "out_%05d.png")
    assert [path.name for path in images] == [f"out_{n:05d}.png" for n in range(1, COUNT + 1)]
    for number, path in enumerate(images):
        expected = picture(number).reformat(
            format="bgr24", src_colorspace=1, src_color_range=1, dst_color_range=2, threads=1
        )
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert found is not None
        assert np.abs(found.astype(int) - expected.to_ndarray().astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("pix_fmt", "shape", "dtype"),
    [
        ("yuv420p10le", 3, np.uint16),
        ("gray", 2, np.uint8),
        ("yuva420p", 3, np.uint8),
    ],
)
def test_depth_and_model_are_kept(
    tmp_path: Path, pix_fmt: str, shape: int, dtype: type[np.generic]
) -> None:
    found = cv2.imread(str(written(tmp_path, "%d.png", pix_fmt)[0]), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert (found.ndim, found.dtype) == (shape, np.dtype(dtype))
    assert (found.shape[2:] == (4,)) == (pix_fmt == "yuva420p")


def test_turned_pictures_are_written_upright(tmp_path: Path) -> None:
    upright = cv2.imread(str(written(tmp_path, "a%d.png")[0]))
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    turned = cv2.imread(str(written(tmp_path, "a%d.png", rotation=90)[0]))
    assert upright is not None
    assert turned is not None
    assert np.array_equal(turned, cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tiff"])
def test_other_formats_are_written_too(tmp_path: Path, suffix: str) -> None:
    assert len(written(tmp_path, f"%03d{suffix}")) == COUNT


def test_an_image_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "out_3.png").write_bytes(b"precious")
    with pytest.raises(SettingsError, match=r"out_3\.png: is there already"):
        written(tmp_path, "out_%d.png")
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["out_3.png"]


def test_what_images_do_not_hold_is_said() -> None:
    anamorphic = replace(parameters("yuv420p10le"), sample_aspect_ratio=Fraction(16, 11))
    said = " ".join(sequence_notes(anamorphic, Path("%d.jpg")))
    assert "square pixels" in said
    assert "16 bits are rounded" in said
    assert "HDR" in " ".join(
        sequence_notes(replace(parameters(), color=ColorTags(trc=16)), Path("%d.png"))
    )
