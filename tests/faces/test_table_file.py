from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farm.errors import InputError
from farm.faces.table import Origin
from farm.faces.table_file import TableDocument, read_table, table_text, write_table
from farm.report import Gap
from tests.faces.tables import table_of, track_of

BOX, OTHER = (10.25, 10.0, 40.0, 44.5), (50.25, 10.0, 80.0, 44.5)
Change = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    """A table of two tracks as JSON has it."""
    embedding = tuple([1.0] + [0.0] * 511)
    table = table_of(
        track_of(1, [3, 4], [BOX, OTHER], embedding=embedding, person=2),
        track_of(2, [4], [OTHER], landmarks=False, origin=Origin.FILLED, on=False),
    )
    found: dict[str, Any] = json.loads(table_text(table))
    return found


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    table = TableDocument(document(), "x").table(lambda _s: 0)
    write_table(path, table)
    again = read_table(path).table(lambda _s: 0)
    assert table_text(again) == path.read_text() == table_text(table)
    for one, other in zip(table.tracks, again.tracks, strict=True):
        assert (one.track, one.on, one.person) == (other.track, other.on, other.person)
        assert one.embedding == other.embedding
        for name in ("frames", "boxes_xyxy", "landmarks_xy", "origins"):
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]


def test_each_face_is_a_line_of_its_own() -> None:
    lines = table_text(TableDocument(document(), "x").table(lambda _s: 0)).splitlines()
    assert sum('"frame":' in line for line in lines) == 3
    assert sum('"on": false' in line for line in lines) == 1


def test_gaps_are_kept() -> None:
    changed = document() | {"gaps": [{"track": 1, "frame_start": 5, "frame_stop": 9}]}
    table = TableDocument(changed, "x").table(lambda _s: 0)
    assert table.gaps == (Gap(track=1, frame_start=5, frame_stop=9),)
    assert json.loads(table_text(table))["gaps"] == changed["gaps"]


def test_a_box_added_by_hand_moves_evenly_between_its_places() -> None:
    places = [{"second": 0.5, "box": [0, 0, 10, 10]}, {"frame": 9, "box": [40, 0, 50, 10]}]
    changed = document() | {"added": [{"boxes": places}]}
    table = TableDocument(changed, "x").table(lambda second: int(second * 10))
    added = table.tracks[-1]
    assert (added.track, added.on) == (3, True)
    assert added.frames.tolist() == [5, 6, 7, 8, 9]
    assert added.boxes_xyxy[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert {each.track for each in table.rows().of(7)} == {3}
    assert table.rows().of(7)[0].landmarks_xy is None


def test_a_time_behind_the_end_is_the_last_frame() -> None:
    places = [{"second": 0, "box": [0, 0, 10, 10]}, {"second": 99, "box": [0, 0, 10, 10]}]
    changed = document() | {"added": [{"boxes": places}]}
    added = TableDocument(changed, "x").table(lambda second: int(second * 100)).tracks[-1]
    assert added.frames.tolist() == list(range(30))


def test_a_face_written_by_hand_needs_only_frame_and_box() -> None:
    changed = document()
    changed["tracks"].append({"track": 9, "faces": [{"frame": 1, "box": [0, 0, 10, 10]}]})
    table = TableDocument(changed, "x").table(lambda _s: 0)
    assert [each.track for each in table.rows().of(1)] == [9]


def _first_face(key: str, value: Any) -> Change:
    return lambda d: d["tracks"][0]["faces"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format="other"), 'no "format": "facefarm faces"'),
        (lambda d: d.update(format_version=2), "format_version 2 is not known, 1 is"),
        (lambda d: d.pop("tracks"), "tracks must be a list"),
        (lambda d: d["clip"].pop("frames"), "clip.frames is null"),
        (lambda d: d["clip"].update(sha256=7), "clip.sha256 must be a text"),
        (lambda d: d["tracks"].append(d["tracks"][0]), "track 1 is there twice"),
        (lambda d: d["tracks"][0].update(faces=[]), "track 1 has no faces: delete it"),
        (lambda d: d["tracks"][0].update(on="no"), 'track 1: on is "no", must be true or false'),
        (lambda d: d["tracks"][0].update(On=False), 'has a field "On"; known are track, on'),
        (lambda d: d["tracks"][0]["faces"].reverse(), "frame 3 is out of order or there twice"),
        (_first_face("frame", 30), "frame is 30, must be a whole number between 0 and 29"),
        (_first_face("frame", True), "frame is true"),
        (_first_face("box", [1, 2, 3]), r"\(frame 3\).box is \[1, 2, 3\], must be 4 numbers"),
        (_first_face("box", [5, 2, 3, 9]), r"must be \[left, top, right, bottom\]"),
        (_first_face("box", [1, 2, 3, 10**400]), "must be 4 numbers up to 1048576"),
        (_first_face("box", [1, 2, 3, float("nan")]), "must be 4 numbers"),
        (_first_face("landmarks", [[1, 2]]), "has 1 points, must have 5"),
        (_first_face("origin", "guessed"), 'origin is "guessed", must be one of detected'),
        (lambda d: d.update(added=[{"boxes": []}]), r"added\[0\].boxes is empty"),
        (
            lambda d: d.update(added=[{"boxes": [{"box": [0, 0, 1, 1]}]}]),
            'must say either "frame" or "second"',
        ),
        (
            lambda d: d.update(added=[{"boxes": [{"second": -1, "box": [0, 0, 1, 1]}]}]),
            "second is -1, must be at least 0",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: Change, words: str) -> None:
    changed = document()
    change(changed)
    with pytest.raises(InputError, match=words) as refused:
        TableDocument(changed, "--faces faces.json")
    assert refused.value.message.startswith("--faces faces.json: ")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{\n 1", "line 2, column 2: is no JSON"),
        (b"[]", "the file must be an object"),
        (b"\xff\xfe", "is no face table"),
        (b"[" * 200_000, "is no face table"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "faces.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=words):
        read_table(path)


def test_a_missing_file_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "faces.json")
    with pytest.raises(InputError, match="cannot write the face table"):
        write_table(tmp_path / "no" / "faces.json", table_of())
