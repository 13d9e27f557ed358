from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from farm.errors import InputError, SettingsError
from farm.image_names import is_image
from farm.preflight import (
    check_folder,
    check_input,
    check_output,
    check_render,
    check_sources,
)
from farm.settings import ProcessorSettings, RenderSettings, TimeSettings


class Usage(NamedTuple):
    free: int


def test_a_new_output_beside_its_input_passes_and_leaves_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    check_output(tmp_path / "out.mp4", [clip], overwrite=False)
    assert list(tmp_path.iterdir()) == [clip]


def test_a_link_to_an_input_is_that_input(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(clip)
    with pytest.raises(InputError, match="is the input"):
        check_output(tmp_path / "link.mp4", [clip], overwrite=True)


def test_a_folder_that_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot write there \(Permission denied\)"):
        check_folder(tmp_path)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(free=1000))
    with pytest.raises(InputError, match="disk is full"):
        check_folder(tmp_path)


def test_an_input_must_be_a_file_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, said in (("no", "no such file"), ("", "is no file"), ("empty", "is empty")):
        with pytest.raises(InputError, match=said):
            check_input(tmp_path / name, "-t")


def test_a_source_is_asked_for_only_where_it_is_needed() -> None:
    check_sources([], [])
    with pytest.raises(SettingsError, match="face_swapper needs a face to put in"):
        check_sources([], ["face_swapper"])


def test_images_are_told_by_their_ending() -> None:
    assert is_image(Path("a.JPG"))
    assert is_image(Path("a.webp"))
    assert not is_image(Path("a.mp4"))
    assert not is_image(Path("png"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"time": TimeSettings(start=Fraction(1))}, "an image has no time"),
        ({"time": TimeSettings(fps=Fraction(25))}, "an image has no time"),
        (
            {"processors": ProcessorSettings(names=("frame_interpolator",))},
            "no frames to make others between",
        ),
    ],
)
def test_an_image_has_no_time(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    target = tmp_path / "in.png"
    target.write_bytes(b"x")
    values: dict[str, Any] = {"processors": ProcessorSettings(names=("none",))} | changes
    settings = RenderSettings(target=target, output=tmp_path / "out.png", **values)
    with pytest.raises(SettingsError, match=said):
        check_render(settings)
