from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from farm.faces.face import Face
from farm.faces.observe import Sight
from farm.faces.table import ORIGINS, Origin, Track
from farm.faces.track import make_tracks
from farm.report import Gap
from tests.faces.pictures import face_at
from tests.model_maker import embedding_of, landmarks_in

FILLED = ORIGINS.index(Origin.FILLED)


def at(left: float, top: float = 50.0, side: float = 60.0) -> Face:
    return face_at((left, top, left + side, top + side))


def sights(*frames: Sequence[Face], cuts: Sequence[int] = ()) -> list[Sight]:
    return [
        Sight(faces=tuple(faces), origin=Origin.DETECTED, cut_after=i in cuts)
        for i, faces in enumerate(frames)
    ]


def tracks_of(seen: Sequence[Sight], fill: int = 0, smooth: int = 0) -> tuple[Track, ...]:
    return make_tracks(seen, 0, fill_frames=fill, smooth_frames=smooth)[0]


def test_two_people_who_walk_keep_their_tracks_in_any_order() -> None:
    seen = sights(*([[at(10 + 8 * i), at(300 - 8 * i)][:: (-1) ** i] for i in range(12)]))
    tracks = tracks_of(seen)
    assert [len(track) for track in tracks] == [12, 12]
    for track, step in zip(tracks, (8, -8), strict=True):
        assert set(np.diff(track.boxes_xyxy[:, 0]).round().tolist()) == {step}


def test_tracks_are_numbered_as_they_begin_and_frames_from_where_the_sights_do() -> None:
    tracks, _ = make_tracks(
        sights([at(10)], [at(10), at(200)]), 100, fill_frames=0, smooth_frames=0
    )
    assert [(t.track, t.frames.tolist()) for t in tracks] == [(1, [100, 101]), (2, [101])]


def test_a_small_face_that_leaves_its_box_between_frames_stays_one_track() -> None:
    tracks = tracks_of(sights(*([at(10 + 9 * i, side=12)] for i in range(6))))
    assert [len(track) for track in tracks] == [6]


def test_a_track_ends_at_a_cut() -> None:
    tracks = tracks_of(sights([at(10)], [at(10)], [at(10)], cuts=[1]))
    assert [track.frames.tolist() for track in tracks] == [[0, 1], [2]]


def test_people_who_do_not_look_alike_are_not_one_track() -> None:
    one = replace(at(10), embedding=embedding_of((255, 0, 255)))
    other = replace(at(12), embedding=-embedding_of((255, 0, 255)))
    assert [len(track) for track in tracks_of(sights([one], [other]))] == [1, 1]
    assert [len(track) for track in tracks_of(sights([one], [at(12)]))] == [2]


def test_a_short_gap_is_filled_evenly_from_both_sides() -> None:
    seen = sights([at(0)], [], [], [], [at(40)])
    (track,) = tracks_of(seen, fill=3)
    assert track.frames.tolist() == [0, 1, 2, 3, 4]
    assert track.boxes_xyxy[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert track.origins.tolist() == [0, FILLED, FILLED, FILLED, 0]
    wanted = np.array(landmarks_in((20, 50, 80, 110)))
    assert np.abs(track.landmarks_xy[2] - wanted).max() < 0.02


def test_a_longer_gap_stays_and_is_listed() -> None:
    seen = sights([at(0)], [], [], [], [at(4)])
    tracks, gaps = make_tracks(seen, 10, fill_frames=2, smooth_frames=0)
    assert [track.frames.tolist() for track in tracks] == [[10, 14]]
    assert gaps == (Gap(track=1, frame_start=11, frame_stop=14),)


def test_a_gap_is_not_filled_across_a_cut() -> None:
    tracks = tracks_of(sights([at(0)], [], [at(4)], cuts=[0]), fill=5)
    assert [track.frames.tolist() for track in tracks] == [[0], [2]]


def test_smoothing_takes_jitter_out_and_leaves_even_motion_and_ends_as_they_are() -> None:
    noise = np.random.default_rng(1).normal(0, 1.5, 40)
    even = tracks_of(sights(*([at(3.0 * i)] for i in range(40))))[0].landmarks_xy[:, 2, 0]
    smooth = tracks_of(sights(*([at(3.0 * i)] for i in range(40))), smooth=4)[0]
    assert np.abs(smooth.landmarks_xy[:, 2, 0] - even).max() < 0.02
    shaken = sights(*([at(3.0 * i + noise[i])] for i in range(40)))
    before = tracks_of(shaken)[0].landmarks_xy[:, 2, 0] - even
    after = tracks_of(shaken, smooth=4)[0].landmarks_xy[:, 2, 0] - even
    assert after.std() < 0.6 * before.std()
    assert after[0] == pytest.approx(before[0])
    assert after[-1] == pytest.approx(before[-1])


def test_smoothing_looks_no_further_than_its_window() -> None:
    still = [[at(10)] for _ in range(21)]
    moved = [*still]
    moved[10] = [at(30)]
    one, other = (tracks_of(sights(*each), smooth=3)[0].landmarks_xy for each in (still, moved))
    touched = np.flatnonzero(np.abs(one - other).max(axis=(1, 2)) > 0.01)
    assert touched.tolist() == list(range(7, 14))


def test_the_embedding_of_a_track_is_the_mean_of_its_sights() -> None:
    magenta = replace(at(10), embedding=embedding_of((255, 0, 255)))
    (track,) = tracks_of(sights([magenta], [at(10)], [magenta]))
    assert track.embedding is not None
    assert float(np.array(track.embedding) @ embedding_of((255, 0, 255))) > 0.999
    assert tracks_of(sights([at(10)]))[0].embedding is None


def test_hundreds_of_faces_in_a_frame_are_linked() -> None:
    def crowd(step: int) -> list[Face]:
        return [at(30 * x + step, 30 * y, 24) for x in range(20) for y in range(15)]

    assert [len(track) for track in tracks_of(sights(crowd(0), crowd(2)))] == [2] * 300
