from __future__ import annotations

import pytest

from farm.errors import InputError
from farm.faces.table import Origin
from tests.faces.tables import clip_facts, table_of, track_of

SMALL, LARGE = (10.0, 10.0, 40.0, 40.0), (100.0, 60.0, 200.0, 160.0)


def test_rows_hold_the_faces_of_a_frame_largest_first() -> None:
    table = table_of(track_of(1, [3, 4], [SMALL, SMALL]), track_of(2, [4, 5], [LARGE, LARGE]))
    rows = table.rows()
    assert [[each.track for each in rows.of(frame)] for frame in range(7)] == [
        [],
        [],
        [],
        [1],
        [2, 1],
        [2],
        [],
    ]
    assert rows.of(4)[0].box_xyxy.tolist() == list(LARGE)
    assert table.faces == 4


def test_a_face_without_landmarks_has_none() -> None:
    rows = table_of(track_of(1, [0], [LARGE], landmarks=False)).rows()
    assert rows.of(0)[0].landmarks_xy is None


def test_a_face_says_whether_it_was_put_in_between_two_sights() -> None:
    filled = [table_of(track_of(1, [0], [LARGE], origin=o)).rows().of(0)[0].filled for o in Origin]
    assert filled == [origin is Origin.FILLED for origin in Origin]


def test_a_track_that_is_off_is_in_no_row() -> None:
    table = table_of(track_of(1, [0], [SMALL], on=False), track_of(2, [0], [LARGE]))
    assert [each.track for each in table.rows().of(0)] == [2]
    assert [each.track for each in table.switched([1]).rows().of(0)] == [1]


def test_a_table_without_tracks_has_empty_rows() -> None:
    assert table_of().rows().of(0) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": 31}, "has 30 frames, clip.mkv has 31"),
        ({"width": 300, "height": 400}, "is 400x300, clip.mkv is 300x400"),
        ({"sha256": "cd" * 32}, "has the hash abababababab, clip.mkv has cdcdcdcdcdcd"),
    ],
)
def test_a_table_of_another_clip_is_refused(changes: dict[str, object], words: str) -> None:
    table = table_of(track_of(1, [0], [SMALL]))
    table.check_fits(clip_facts(name="same bytes, other name"), "faces.json")
    with pytest.raises(InputError, match=words) as refused:
        table.check_fits(clip_facts(**changes), "--faces faces.json")
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith("--faces faces.json: ")
