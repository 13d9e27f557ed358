from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from farm.errors import InputError
from farm.report import Gap
from farm.who import (
    NOBODY_ALIKE_NOTE,
    NOBODY_NOTE,
    UNKNOWN_NOTE,
    Person,
    Wanted,
    cast,
    check_moments,
    gap_notes,
    landmark_notes,
)
from tests.faces.tables import table_of, track_of

BOX, OTHER = (10.0, 10.0, 40.0, 40.0), (200.0, 60.0, 300.0, 160.0)
EMBEDDING = (1.0, *[0.0] * 511)
KNOWN = track_of(1, [0, 1], [BOX, BOX], embedding=EMBEDDING)
UNKNOWN = track_of(2, [1, 2], [OTHER, OTHER])


def wanted(**changes: Any) -> Wanted:
    """One person is looked for, as the changes say."""
    at_s = changes.get("at_s")
    asked = "--face-selector one" if at_s is None else f"--reference-at {at_s:g}"
    return Wanted(people=(Person(asked=asked, **changes),), least_likeness=0.3)


def at_frame(second: float) -> int:
    return int(second * 25)


def test_everyone_needs_no_reference() -> None:
    casting, notes = cast(Wanted(everyone=True, least_likeness=0.3), table_of(KNOWN), at_frame)
    assert casting.everyone
    assert notes == ()


def test_the_tracks_like_a_reference_are_cast_or_nobody_and_that_is_said() -> None:
    table = table_of(KNOWN, UNKNOWN)
    casting, notes = cast(wanted(reference=EMBEDDING), table, at_frame)
    assert (set(casting.roles), notes) == ({1}, ())
    stranger = (0.0, 1.0, *[0.0] * 510)
    casting, notes = cast(wanted(reference=stranger), table, at_frame)
    assert (casting.roles, notes) == ({}, (NOBODY_ALIKE_NOTE,))


def test_a_place_at_a_time_says_who_is_meant() -> None:
    table = table_of(KNOWN, UNKNOWN)
    casting, notes = cast(wanted(at_s=0.04), table, at_frame)
    assert (set(casting.roles), notes) == ({2}, (UNKNOWN_NOTE,))
    casting, notes = cast(wanted(at_s=0.04, number=2), table, at_frame)
    assert (set(casting.roles), notes) == ({1}, ())
    with pytest.raises(InputError, match=r"--reference-at 0\.2: frame 5 shows 0 faces"):
        cast(wanted(at_s=0.2), table, at_frame)


def test_a_place_at_a_time_when_the_clip_is_over_is_refused() -> None:
    length_s = Fraction(10, 25)
    check_moments(wanted(at_s=0.39), length_s)
    check_moments(wanted(reference=EMBEDDING), length_s)
    with pytest.raises(InputError, match=r"--reference-at 0\.4: the clip is over after 0\.40 s"):
        check_moments(wanted(at_s=0.4), length_s)


def test_a_clip_without_faces_is_said() -> None:
    casting, notes = cast(wanted(), table_of(), at_frame)
    assert (casting.roles, notes) == ({}, (NOBODY_NOTE,))


def test_stretches_where_somebody_vanishes_are_said_the_first_ones_by_their_frames() -> None:
    from dataclasses import replace

    gaps = tuple(Gap(track=1, frame_start=10 * i, frame_stop=10 * i + 4) for i in range(7))
    assert gap_notes(table_of()) == ()
    (note,) = gap_notes(replace(table_of(), gaps=gaps))
    assert note.startswith("a face vanishes and returns 7 times: look at frames 0 to 3, 10 to 13")
    assert note.endswith("40 to 43 and 2 more")


def test_a_person_is_meant_by_their_number_and_gets_their_source() -> None:
    from dataclasses import replace

    again = track_of(3, [5], [OTHER], person=1)
    table = table_of(replace(KNOWN, person=1), replace(UNKNOWN, person=2), again)
    people = (
        Person(asked="map[0]", person=2, source=0),
        Person(asked="map[1]", person=1, source=1),
    )
    casting, notes = cast(Wanted(people=people, least_likeness=0.3), table, at_frame)
    assert {number: role.source for number, role in casting.roles.items()} == {1: 1, 2: 0, 3: 1}
    assert notes == ()
    with pytest.raises(InputError, match="x: no person 7; the table has people 1 to 2"):
        cast(_seven(), table, at_frame)


def _seven() -> Wanted:
    return Wanted(people=(Person(asked="x", person=7),), least_likeness=0.3)


def test_a_place_stands_before_a_likeness() -> None:
    people = (
        Person(asked="map[0]", reference=EMBEDDING, source=0),
        Person(asked="map[1]", at_s=0.0, source=1),
    )
    casting, _ = cast(Wanted(people=people, least_likeness=0.3), table_of(KNOWN), at_frame)
    assert casting.roles[1].source == 1


def test_faces_without_landmarks_are_said_where_they_are_needed() -> None:
    bare = track_of(2, [1, 2], [OTHER, OTHER], landmarks=False)
    needs = Wanted(everyone=True, least_likeness=0.3, needs_landmarks=True)
    assert landmark_notes(needs, table_of(KNOWN)) == ()
    assert landmark_notes(needs, table_of(KNOWN, bare))[0].startswith(
        "2 faces of the table have no"
    )
    assert landmark_notes(Wanted(everyone=True, least_likeness=0.3), table_of(bare)) == ()
