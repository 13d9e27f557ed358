from __future__ import annotations

import numpy as np

from farm.faces.people import absences, embedding_of_person, name_people
from farm.faces.table import Track
from farm.report import Gap
from tests.faces.tables import track_of

BOX = (10.0, 10.0, 40.0, 40.0)


def track(number: int, frames: range, *values: float) -> Track:
    vector = np.zeros(512)
    vector[: len(values)] = values
    embedding = tuple((vector / np.linalg.norm(vector)).tolist()) if values else None
    return track_of(number, list(frames), [BOX] * len(frames), embedding=embedding)


def people(*tracks: Track) -> list[int | None]:
    return [each.person for each in name_people(tracks)]


def test_tracks_that_look_alike_are_one_person_numbered_as_they_appear() -> None:
    a, b, c = track(1, range(5), 1), track(2, range(3, 9), 0, 1), track(3, range(10, 20), 0.9, 0.2)
    assert people(a, b, c) == [1, 2, 1]


def test_nobody_is_in_one_frame_twice() -> None:
    assert people(track(1, range(6), 1), track(2, range(4, 8), 1)) == [1, 2]


def test_a_track_joins_the_person_most_like_it() -> None:
    a, b = track(1, range(9), 1, 0), track(2, range(10, 19), 0.3, 1)
    assert people(a, b, track(3, range(20, 22), 0.6, 1)) == [1, 2, 2]


def test_a_track_that_was_not_recognised_has_no_person() -> None:
    assert people(track(1, range(3)), track(2, range(3, 6), 1)) == [None, 1]


def test_the_embedding_of_a_person_is_the_mean_over_longer_and_shorter_tracks() -> None:
    tracks = name_people([track(1, range(30), 1, 0), track(2, range(30, 40), 1, 0.5)])
    mean = embedding_of_person(tracks, 1)
    assert mean is not None
    assert 0.05 < mean[1] < 0.2
    assert embedding_of_person(tracks, 2) is None


def test_the_absences_of_a_person_lie_between_their_tracks() -> None:
    tracks = name_people(
        [track(1, range(5), 1), track(2, range(9, 12), 1), track(3, range(5), 0, 1)]
    )
    assert absences(tracks) == (Gap(track=1, frame_start=5, frame_stop=9),)
