from __future__ import annotations

import numpy as np
import pytest

from farm.errors import InputError
from farm.face_settings import FaceOrder
from farm.faces.casting import Casting, CastRows, Role, cast_alike, cast_track, in_order, track_at
from farm.faces.table import Track
from tests.faces.pictures import face_at
from tests.faces.tables import table_of, track_of

LEFT, RIGHT = (10.0, 10.0, 40.0, 40.0), (200.0, 60.0, 300.0, 160.0)


def vector(*values: float) -> tuple[float, ...]:
    return (*values, *[0.0] * (512 - len(values)))


def two() -> tuple[Track, Track]:
    return (
        track_of(1, [0, 1], [LEFT, LEFT], embedding=vector(1.0), person=1),
        track_of(2, [1, 2], [RIGHT, RIGHT], embedding=vector(0.6, 0.8), person=2),
    )


def selected(casting: Casting, *tracks: Track) -> list[list[tuple[int | None, int]]]:
    rows = CastRows(table_of(*tracks), casting).of(range(3))
    return [[(face.track, face.source) for face in row.selected] for row in rows]


def test_everyone_is_worked_on_where_many_are_meant() -> None:
    assert selected(Casting(everyone=True), *two()) == [[(1, 0)], [(2, 0), (1, 0)], [(2, 0)]]


def test_rows_hold_every_face_and_select_those_with_a_role() -> None:
    casting = Casting(roles={2: Role(reference=0, source=1)})
    rows = CastRows(table_of(*two()), casting).of([1])
    assert [face.track for face in rows[0].faces] == [2, 1]
    assert selected(casting, *two()) == [[], [(2, 1)], [(2, 1)]]


def test_of_two_tracks_of_one_person_in_a_frame_the_more_like_one_is_meant() -> None:
    roles = cast_alike(two(), np.array([vector(1.0)], np.float32), 0.3)
    assert set(roles) == {1, 2}
    assert selected(Casting(roles=roles), *two()) == [[(1, 0)], [(1, 0)], [(2, 0)]]


def test_each_person_gets_the_source_that_is_meant_for_them() -> None:
    people = np.array([vector(1.0), vector(0.0, 1.0)], np.float32)
    roles = cast_alike(two(), people, 0.3, sources=[1, 0])
    assert {number: role.source for number, role in roles.items()} == {1: 1, 2: 0}


def test_a_track_that_was_chosen_brings_those_of_the_same_person() -> None:
    again = track_of(3, [2], [LEFT], embedding=vector(0.9, 0.0, 0.43), person=None)
    roles = cast_track((*two(), again), two()[0], 0.7)
    assert set(roles) == {1, 3}
    unknown = track_of(4, [0], [RIGHT])
    assert set(cast_track((*two(), unknown), unknown, 0.7)) == {4}


@pytest.mark.parametrize(
    ("order", "number", "wanted"),
    [
        (FaceOrder.LARGEST, 1, 2),
        (FaceOrder.LARGEST, 2, 1),
        (FaceOrder.LEFT_TO_RIGHT, 1, 1),
        (FaceOrder.RIGHT_TO_LEFT, 1, 2),
    ],
)
def test_a_face_is_chosen_by_its_place_in_a_frame(
    order: FaceOrder, number: int, wanted: int
) -> None:
    chosen = track_at(table_of(*two()), 1, order, number, "--reference-at 0.04")
    assert chosen is not None
    assert chosen.track == wanted


def test_without_a_time_the_first_frame_with_so_many_faces_counts() -> None:
    table = table_of(*two())
    first = track_at(table, None, FaceOrder.LARGEST, 1, "x")
    second = track_at(table, None, FaceOrder.LARGEST, 2, "x")
    assert first is not None
    assert second is not None
    assert (first.track, second.track) == (1, 1)
    assert track_at(table, None, FaceOrder.LARGEST, 3, "x") is None


def test_a_time_without_so_many_faces_is_said() -> None:
    with pytest.raises(InputError, match="--reference-at 0: frame 0 shows 1 face, not 2"):
        track_at(table_of(*two()), 0, FaceOrder.LARGEST, 2, "--reference-at 0")


def test_faces_are_counted_by_their_middles() -> None:
    wide, narrow = face_at((0, 0, 100, 100)), face_at((40, 0, 50, 10))
    assert in_order([wide, narrow], FaceOrder.LEFT_TO_RIGHT) == [narrow, wide]
