from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from farm.errors import InputError, SettingsError
from farm.face_map import read_map, with_map
from farm.face_settings import FaceOrder, SelectionSettings
from farm.settings import RenderSettings

WHOLE = """
faces = "faces.json"
[[map]]
source = "me.jpg"
person = 2
[[map]]
source = ["you.jpg", "me.jpg"]
reference = "them.png"
[[map]]
source = "it.png"
at = 1.5
number = 2
order = "left-to-right"
[[map]]
source = ""
person = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "map.toml"
    path.write_text(text)
    return path


def test_each_entry_says_who_is_put_onto_whom_with_paths_from_its_folder(tmp_path: Path) -> None:
    found = read_map(write(tmp_path, WHOLE))
    assert found.faces == tmp_path / "faces.json"
    first, second, third = found.entries
    assert (first.person, first.sources) == (2, (tmp_path / "me.jpg",))
    assert second.references == (tmp_path / "them.png",)
    assert (third.at_s, third.number, third.order) == (1.5, 2, FaceOrder.LEFT_TO_RIGHT)
    assert [path.name for path in found.sources] == ["me.jpg", "you.jpg", "it.png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[map]", "is no TOML"),
        ("faces = 1", r"\[\[map\]\] must be a list"),
        ("people = 1", 'the file has a field "people"; known are faces, map'),
        ('[[map]]\nsource = "a.png"', r"map\[0\] must say one of person, reference or at"),
        ("[[map]]\nat = 1.0", r"map\[0\].source is missing"),
        ('[[map]]\nsource = "a.png"\nat = -1', "at is -1, must be at least 0"),
        ("[[map]]\nsource = 3\nat = 1", "source is 3, must be a path"),
        ('[[map]]\nsource = "a"\nat = 1\norder = "x"', "must be one of largest, left-to-right"),
        ('[[map]]\nsource = "a"\nperson = 1', "person is of a face table: say which"),
        ('[[map]]\nsource = ""\nat = 1', "no entry has a source: fill in at least one"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=words) as refused:
        read_map(path)
    assert refused.value.message.startswith(f"--map-faces {path}: ")
    assert "\n" not in refused.value.message


def test_the_settings_take_sources_and_table_of_the_map(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    plain = RenderSettings(target=Path("a.mp4"), output=Path("b.mp4"))
    asked = replace(plain, selection=SelectionSettings(map_faces=path))
    found = with_map(asked)
    assert [each.name for each in found.sources] == ["me.jpg", "you.jpg", "it.png"]
    assert found.selection.faces == tmp_path / "faces.json"
    assert with_map(found) == found
    assert with_map(plain) is plain
    with pytest.raises(SettingsError, match="leave -s/--source out"):
        with_map(replace(asked, sources=(Path("other.png"),)))
    other = SelectionSettings(map_faces=path, faces=Path("other.json"))
    with pytest.raises(SettingsError, match="leave --faces out"):
        with_map(replace(asked, selection=other))


def test_a_missing_map_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_map(tmp_path / "map.toml")
