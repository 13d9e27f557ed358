"""Whom a job that reads a face table works on: what was asked for, and the casting it becomes.

Not for: jobs that find their faces while they render (`farm.process`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from farm.errors import InputError
from farm.face_settings import FaceOrder
from farm.faces.casting import Casting, Role, cast_alike, cast_track, track_at
from farm.faces.table import FaceTable, Track

NOBODY_NOTE = "no frame shows a face: the pictures stay as they are"
NOBODY_ALIKE_NOTE = "nobody in the clip is like the reference: the pictures stay as they are"
UNKNOWN_NOTE = (
    "the face table does not know who its faces are: only the track that is meant is worked on; "
    "`facefarm analyze --recognize` makes one that does"
)
_MOST_GAPS = 5

FrameAt = Callable[[float], int]
"""The source frame that is on screen at a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is looked for: like a reference, by number, or by a place in a frame."""

    asked: str
    """What messages call it."""
    source: int = 0
    """Whose face they get: a place among the job's sources."""
    reference: tuple[float, ...] | None = None
    """[512] unit length."""
    person: int | None = None
    """As the face table numbers people."""
    order: FaceOrder = FaceOrder.LARGEST
    at_s: float | None = None
    """Second of the frame; None for the first frame with so many faces."""
    number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Who is meant."""

    everyone: bool = False
    people: tuple[Person, ...] = ()
    least_likeness: float
    needs_landmarks: bool = False
    """Whether faces without landmarks stay as they are."""


def check_moments(wanted: Wanted, length_s: Fraction) -> None:
    """Refuse people who are shown by a second at which the clip is over.

    Raises:
        InputError: There is one.
    """
    for person in wanted.people:
        if person.at_s is not None and person.at_s >= length_s:
            raise InputError(f"{person.asked}: the clip is over after {float(length_s):.2f} s")


def cast(wanted: Wanted, table: FaceTable, frame_at: FrameAt) -> tuple[Casting, tuple[str, ...]]:
    """Decide who is worked on, and say what is odd about it.

    Where a track may be several of the people, it is the one that was named by number or place
    before one that it only is like.

    Raises:
        InputError: There is no such face or person.
    """
    if wanted.everyone:
        return Casting(everyone=True), ()
    roles = _alike(wanted, table.tracks)
    notes: list[str] = []
    for place, person in enumerate(wanted.people):
        if person.reference is None:
            found, odd = _named(person, table, frame_at, wanted.least_likeness)
            notes += odd
            roles |= {
                number: replace(role, reference=place, source=person.source)
                for number, role in found.items()
            }
    if not roles and not notes:
        notes.append(NOBODY_ALIKE_NOTE if table.tracks else NOBODY_NOTE)
    return Casting(roles=roles), tuple(notes)


def _alike(wanted: Wanted, tracks: Sequence[Track]) -> dict[int, Role]:
    """Roles of the tracks that are like somebody."""
    places = [i for i, each in enumerate(wanted.people) if each.reference is not None]
    if not places:
        return {}
    people = np.array([wanted.people[i].reference for i in places], np.float32)
    found = cast_alike(tracks, people, wanted.least_likeness)
    return {
        number: replace(
            role,
            reference=places[role.reference],
            source=wanted.people[places[role.reference]].source,
        )
        for number, role in found.items()
    }


def _named(
    person: Person, table: FaceTable, frame_at: FrameAt, least: float
) -> tuple[dict[int, Role], list[str]]:
    """Roles of the tracks of somebody who has a number or a place, and what is odd about it."""
    if person.person is not None:
        mine = [track for track in table.tracks if track.person == person.person]
        if not mine:
            known = sorted({t.person for t in table.tracks if t.person is not None})
            there = f"people 1 to {known[-1]}" if known else "no people: analyze --recognize"
            raise InputError(f"{person.asked}: no person {person.person}; the table has {there}")
        return {track.track: Role(reference=0) for track in mine}, []
    frame = None if person.at_s is None else frame_at(person.at_s)
    chosen = track_at(table, frame, person.order, person.number, person.asked)
    if chosen is None:
        return {}, [NOBODY_NOTE]
    known_face = chosen.embedding is not None or chosen.person is not None
    odd = [] if known_face or len(table.tracks) == 1 else [UNKNOWN_NOTE]
    return cast_track(table.tracks, chosen, least), odd


def landmark_notes(wanted: Wanted, table: FaceTable) -> tuple[str, ...]:
    """What is to be said of faces that have no landmarks where they are needed."""
    if not wanted.needs_landmarks:
        return ()
    bare = sum(int(np.isnan(t.landmarks_xy).any(axis=(1, 2)).sum()) for t in table.tracks if t.on)
    if not bare:
        return ()
    return (f"{bare} faces of the table have no landmarks: only anonymisers work on them",)


def gap_notes(table: FaceTable) -> tuple[str, ...]:
    """What is to be said of stretches in which somebody vanishes and returns."""
    gaps = table.gaps
    if not gaps:
        return ()
    shown = ", ".join(f"{gap.frame_start} to {gap.frame_stop - 1}" for gap in gaps[:_MOST_GAPS])
    more = f" and {len(gaps) - _MOST_GAPS} more" if len(gaps) > _MOST_GAPS else ""
    return (f"a face vanishes and returns {len(gaps)} times: look at frames {shown}{more}",)
