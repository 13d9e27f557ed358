"""Crop tags of containers: read, kept, or their loss is said."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farm.errors import JobError
from farm.media.crop import CropTag, add_crop, read_crop
from farm.media.ffmpeg import ffmpeg_version, find_ffmpeg
from farm.media.index import build_index
from tests.media.retimed_case import render
from tests.media_maker import Studio, frame_md5, serial_decode
from tests.recipes.studio import SIZE, X264

CROP = CropTag(left=Fraction(8), top=Fraction(3), right=Fraction(16), bottom=Fraction(5, 2))
EVEN = CropTag(left=Fraction(8), top=Fraction(4), right=Fraction(16), bottom=Fraction(6))
SYSTEM = shutil.which("ffmpeg")


@pytest.fixture
def plain(media_studio: Studio, tmp_path: Path) -> Path:
    """An MP4 whose index lies behind its pictures, without a tag."""
    path = tmp_path / "plain.mp4"
    media_studio.ffmpeg("-i", media_studio.raw(frames=12), *X264, path)
    return path


@pytest.fixture
def cropped(plain: Path) -> Path:
    add_crop(plain, EVEN, SIZE)
    return plain


def crop_of(path: Path) -> CropTag | None:
    return build_index(path).crop


def test_a_tag_that_was_added_is_read_and_changes_no_picture(plain: Path) -> None:
    before = [frame_md5(frame) for frame in serial_decode(plain)]
    assert crop_of(plain) is None
    add_crop(plain, CROP, SIZE)
    assert crop_of(plain) == CROP
    assert [frame_md5(frame) for frame in serial_decode(plain)] == before


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_what_ffmpeg_writes_is_read(cropped: Path, tmp_path: Path, suffix: str) -> None:
    other = tmp_path / f"other{suffix}"
    command = [str(find_ffmpeg()), "-v", "error", "-i", str(cropped), "-c", "copy", str(other)]
    subprocess.run(command, check=True)
    assert crop_of(other) == EVEN


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_render_keeps_the_tag(cropped: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    _, report = render(cropped, output, lambda plan: plan, crop=crop_of(cropped))
    assert crop_of(output) == EVEN
    assert not any("crop tag" in note for note in report.notes)


def test_an_ffmpeg_that_does_not_write_it_is_said(cropped: Path, tmp_path: Path) -> None:
    if SYSTEM is None or ffmpeg_version(Path(SYSTEM)) >= (7, 1):
        pytest.skip("no old ffmpeg is installed here")
    output = tmp_path / "out.mp4"
    request: dict[str, Any] = {"crop": crop_of(cropped), "ffmpeg": Path(SYSTEM)}
    _, report = render(cropped, output, lambda plan: plan, **request)
    assert crop_of(output) is None
    assert "the crop tag (left 8, top 4, right 16, bottom 6 px) is lost" in " ".join(report.notes)


@pytest.mark.parametrize(
    "crop",
    [
        CropTag(),
        CropTag(left=Fraction(100), right=Fraction(60)),
        CropTag(left=Fraction(-4), right=Fraction(4)),
    ],
)
def test_a_tag_that_hides_nothing_or_all_is_none(plain: Path, crop: CropTag) -> None:
    add_crop(plain, crop, SIZE)
    assert crop_of(plain) is None


@pytest.mark.parametrize("kept", [0, 7, 40, 200])
def test_what_is_cut_off_is_read_as_no_tag(cropped: Path, kept: int) -> None:
    data = cropped.read_bytes()
    cropped.write_bytes(data[: len(data) - 60 + kept // 4])
    assert read_crop(cropped, "mov,mp4", 0, SIZE) in (None, EVEN)
    cropped.write_bytes(data[:kept])
    assert read_crop(cropped, "mov,mp4", 0, SIZE) is None
    assert read_crop(cropped, "matroska,webm", 0, SIZE) is None


def test_a_file_with_its_index_in_front_gets_no_tag(media_studio: Studio) -> None:
    path = media_studio.folder / "front.mp4"
    raw = media_studio.raw(frames=12)
    media_studio.ffmpeg("-i", raw, *X264, "-movflags", "+faststart", path)
    with pytest.raises(JobError, match="not at the end"):
        add_crop(path, CROP, SIZE)
