"""Faces that vanish for a few frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from farm.faces.face import Face
from farm.faces.gaps import Sightings
from tests.faces.pictures import face_at

Box = tuple[float, float, float, float]
MOST = 3


def _at(x: float, y: float = 50, side: float = 40) -> Face:
    return face_at((x, y, x + side, y + side))


def _filled(pictures: Sequence[Sequence[Face]], most: int = MOST) -> list[list[list[float]]]:
    """Boxes that are put into each picture."""
    missing = Sightings(pictures).missing(most)
    return [[[round(float(v), 3) for v in face.box_xyxy] for face in faces] for faces in missing]


def test_a_short_gap_is_filled_evenly_from_both_sides() -> None:
    there = [[_at(0)], [], [], [], [_at(8)]]
    assert [boxes[0][0] if boxes else None for boxes in _filled(there)] == [None, 2, 4, 6, None]


def test_filled_faces_have_landmarks_where_both_sights_do() -> None:
    filled = Sightings([[_at(0)], [], [_at(8)]]).missing(MOST)[1][0]
    first, last = _at(0).landmarks_xy, _at(8).landmarks_xy
    assert first is not None
    assert last is not None
    assert filled.landmarks_xy is not None
    assert np.allclose(filled.landmarks_xy, (first + last) / 2)


def test_a_longer_gap_is_left() -> None:
    assert not any(_filled([[_at(0)], *[[] for _ in range(MOST + 1)], [_at(0)]]))


def test_a_face_that_goes_or_comes_for_good_is_left() -> None:
    assert not any(_filled([[_at(0)], [_at(0)], [], []]))
    assert not any(_filled([[], [], [_at(0)], [_at(0)]]))


def test_faces_that_go_on_are_not_doubled_by_one_that_is_lost_beside_them() -> None:
    both = [_at(0), _at(100)]
    assert _filled([both, [_at(100)], both]) == [[], [[0, 50, 40, 90]], []]


def test_another_face_far_away_is_not_taken_for_the_lost_one() -> None:
    assert not any(_filled([[_at(0)], [], [_at(300)]]))


def test_a_face_that_is_found_again_at_once_is_not_looked_for_further_on() -> None:
    assert [len(boxes) for boxes in _filled([[_at(0)], [], [_at(2)], [], [_at(4)]])] == [
        0,
        1,
        0,
        1,
        0,
    ]


@given(st.lists(st.lists(st.integers(0, 6), max_size=3, unique=True), min_size=1, max_size=30))
def test_what_is_put_into_a_frame_depends_on_its_neighbours_alone(places: list[list[int]]) -> None:
    pictures = [[_at(60.0 * x) for x in frame] for frame in places]
    whole = _filled(pictures)
    for number in range(len(pictures)):
        low = max(0, number - MOST)
        window = pictures[low : number + MOST + 1]
        assert _filled(window)[number - low] == whole[number]
