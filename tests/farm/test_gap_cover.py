"""Lost faces are put in between the same way however a clip is cut, and searched for sparingly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.faces.face import Face
from farm.faces.gaps import Sightings
from farm.gap_cover import GapCover, Pictures
from farm.media.fields import InterlacedFrame
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from farm.processors.base import FaceFrame
from tests.faces.pictures import face_at, frame_of

MOST = 3
Found = tuple[Face, ...]
FACES: dict[int, Face] = {x: face_at((60 * x, 50, 60 * x + 40, 90)) for x in range(7)}


def _frame(fields: bool) -> EditableFrame:
    plain = frame_of(np.zeros((16, 16, 3), np.uint8), "yuv420p")
    return InterlacedFrame(plain.video_frame, color=ColorTags()) if fields else plain


class Clip:
    """Frames whose faces are given; notes which are searched late."""

    def __init__(self, faces: Sequence[Sequence[Found]]) -> None:
        self.faces = faces
        self.frames = [_frame(len(each) > 1) for each in faces]
        self.searched: list[int] = []

    def look(self, frames: Sequence[EditableFrame]) -> list[Sequence[Found]]:
        numbers = [next(i for i, f in enumerate(self.frames) if f is frame) for frame in frames]
        self.searched += numbers
        return [self.faces[number] for number in numbers]

    def pictures(self, number: int, *, known: bool) -> Pictures:
        pictures, faces = self.frames[number].pictures, self.faces[number]
        assert len(pictures) == len(faces)
        return [
            FaceFrame(frame=picture, faces=found if known else (), selected=())
            for picture, found in zip(pictures, faces, strict=True)
        ]

    def covered(self, start: int, stop: int, sizes: Sequence[int] = ()) -> list[list[Found]]:
        """The faces of a chunk's frames, which come in batches of these sizes."""
        low, high = max(0, start - MOST), min(len(self.frames), stop + MOST)
        mine = range(start - low, stop - low)
        self.cover = GapCover(MOST, self.look, mine, mine)
        coming = [self.pictures(n, known=start <= n < stop) for n in range(low, high)]
        done: list[Pictures] = []
        at = 0
        for size in [*sizes, len(coming)]:
            done += self.cover.push(coming[at : at + size])
            at += size
        done += self.cover.end()
        assert [id(f) for f in done] == [id(f) for f in coming]
        assert all(not item.faces for f in (*done[: mine.start], *done[mine.stop :]) for item in f)
        return [[item.faces for item in done[n]] for n in mine]


def _places(clip: Sequence[Sequence[Found]]) -> list[list[list[list[float]]]]:
    return [[[f.box_xyxy.tolist() for f in faces] for faces in frame] for frame in clip]


def _clip(frames: Sequence[str]) -> Clip:
    """A clip whose frames show the faces at the places that are written, "" for none."""
    return Clip([(tuple(FACES[int(x)] for x in frame),) for frame in frames])


PLACES = st.lists(st.integers(0, 6), max_size=3, unique=True)
FRAME = st.lists(PLACES, min_size=1, max_size=2)


@given(
    frames=st.lists(FRAME, min_size=1, max_size=24),
    cuts=st.sets(st.integers(1, 23), max_size=6),
    sizes=st.lists(st.integers(0, 5), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_chunks_get_what_the_whole_clip_gets(
    frames: list[list[list[int]]], cuts: set[int], sizes: list[int]
) -> None:
    faces = [[tuple(FACES[x] for x in sorted(field)) for field in frame] for frame in frames]
    flat = [found for frame in faces for found in frame]
    numbers = [number for number, frame in enumerate(faces) for _ in frame]
    missing = iter(Sightings(flat, numbers).missing(MOST))
    wanted = [[(*found, *next(missing)) for found in frame] for frame in faces]
    edges = [0, *sorted(cut for cut in cuts if cut < len(frames)), len(frames)]
    got: list[list[Found]] = []
    counts = 0
    clip = Clip(faces)
    for start, stop in pairwise(edges):
        got += clip.covered(start, stop, sizes)
        counts += clip.cover.faces
    assert _places(got) == _places(wanted)
    assert counts == sum(
        max(len(new) - len(old) for new, old in zip(*both, strict=True))
        for both in zip(wanted, faces, strict=True)
    )


def test_nothing_around_a_chunk_is_searched_where_faces_stay() -> None:
    clip = _clip(["12"] * 30)
    clip.covered(10, 20)
    assert clip.searched == []


def test_faces_that_change_at_the_border_itself_or_far_from_it_need_no_search() -> None:
    clip = _clip([*["1"] * 10, *["2"] * 5, *["3"] * 5, *["4"] * 10])
    clip.covered(10, 20)
    assert clip.searched == []


def test_only_what_may_hold_the_other_end_of_a_gap_is_searched() -> None:
    clip = _clip([*["1"] * 8, *[""] * 2, "", *["1"] * 9, *["2"] * 10])
    assert [len(frame[0]) for frame in clip.covered(10, 20)] == [1] * 10
    assert clip.searched == [7, 8, 9]
    assert (clip.cover.faces, clip.cover.frames, clip.cover.frames_empty) == (1, 1, 1)
    clip = _clip([*["1"] * 18, *[""] * 3, *["1"] * 9])
    assert [len(frame[0]) for frame in clip.covered(10, 20)] == [1] * 10
    assert clip.searched == [20, 21]
    assert (clip.cover.faces, clip.cover.frames, clip.cover.frames_empty) == (2, 2, 2)


def test_a_face_that_is_lost_beside_another_does_not_make_its_frame_an_empty_one() -> None:
    clip = _clip(["12", "1", "12"])
    clip.covered(0, 3)
    assert (clip.cover.faces, clip.cover.frames, clip.cover.frames_empty) == (1, 1, 0)
