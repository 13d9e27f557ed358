from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import InputError
from farm.image_names import (
    images_of,
    is_image,
    is_image_set,
    is_sequence,
    numbered,
    outputs_of,
)

NAMES = ("a1.png", "a2.PNG", "b 3.jpg", "c_0004.tif", "-d.webp", "100%.png", ".hidden.png", "x.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def found(target: Path) -> list[str]:
    return [path.name for path in images_of(target)]


def test_a_folder_stands_for_its_images_by_name(folder: Path) -> None:
    assert is_image_set(folder)
    assert found(folder) == ["-d.webp", "100%.png", "a1.png", "a2.PNG", "b 3.jpg", "c_0004.tif"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a*.png", ["a1.png"]),
        ("a?.PNG", ["a2.PNG"]),
        ("c_%04d.tif", ["c_0004.tif"]),
        ("a%d.png", ["a1.png"]),
        ("[ab]*.png", ["a1.png"]),
        ("[!a]*.png", ["100%.png"]),
        ("* 3.jpg", ["b 3.jpg"]),
    ],
)
def test_a_pattern_stands_for_what_it_matches(folder: Path, pattern: str, names: list[str]) -> None:
    assert is_image_set(folder / pattern)
    assert found(folder / pattern) == names


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "odd[1].png").write_bytes(b"x")
    (folder / "shot%02d.png").write_bytes(b"x")
    assert not is_image_set(folder / "odd[1].png")
    assert is_image(folder / "shot%02d.png")
    assert is_image(folder / "100%.png")


def test_nothing_to_render_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="no image goes by that name"):
        images_of(folder / "z*.png")
    with pytest.raises(InputError, match="no such folder"):
        images_of(folder / "no" / "z*.png")


def test_a_numbered_name_asks_for_a_sequence() -> None:
    assert is_sequence(Path("out_%05d.png"))
    assert is_sequence(Path("%d.webp"))
    assert not is_sequence(Path("out.png"))
    assert not is_sequence(Path("100%.png"))
    assert not is_sequence(Path("out_%05d.mp4"))
    assert not is_sequence(Path("%d_%d.png"))
    assert numbered(Path("a/out_%05d.png"), 42) == Path("a/out_00042.png")
    assert numbered(Path("%d.png"), 1234567) == Path("1234567.png")


def test_images_keep_their_names_or_are_numbered() -> None:
    images = [Path("in/b.png"), Path("in/c.png")]
    assert outputs_of(images, Path("out")) == [Path("out/b.png"), Path("out/c.png")]
    assert outputs_of(images, Path("o/%03d.jpg")) == [Path("o/001.jpg"), Path("o/002.jpg")]
