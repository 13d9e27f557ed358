"""Cutting: what holds for every video, however its packets lie."""

import dataclasses
import itertools
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.media.index import VideoIndex
from farm.media.plan import FramePlan
from farm.media.retime import at_rate
from scheduler.chunks import Chunk, Lead, cut_at_anchors, cut_chunks, default_chunk_seconds
from tests.media.chunk_run import planned
from tests.media_maker import Kind, Studio, names_of
from tests.scheduler.made_up import made_up_index, made_up_plan

NO_LEAD = Lead()
LENGTHS = (0.001, 0.37, None, 1e9)


@st.composite
def videos(draw: st.DrawFn) -> tuple[VideoIndex, FramePlan]:
    """Any order of display within reach of a decoder, any keyframes, hidden packets, gaps."""
    count = draw(st.integers(1, 80))
    delays = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    order = sorted(range(count), key=lambda i: (i + delays[i], i))
    hidden = draw(st.sets(st.integers(0, count - 1), max_size=count // 3))
    shown = [packet for packet in order if packet not in hidden] or [0]
    steps = draw(st.lists(st.integers(1, 200), min_size=len(shown), max_size=len(shown)))
    start = draw(st.integers(-1000, 10**9))
    pts = (np.cumsum(steps) + start).tolist()
    keys = draw(st.sets(st.integers(0, count - 1)))
    return made_up_index([0] * count, sorted(keys)), made_up_plan(shown, pts)


@st.composite
def retimed(draw: st.DrawFn) -> tuple[VideoIndex, FramePlan]:
    """A video of which frames are repeated, left out, or made between two."""
    index, plan = draw(videos())
    rate = draw(st.fractions(Fraction(1, 2), 60, max_denominator=20))
    return index, at_rate(plan, rate, between=draw(st.booleans()))


def _entry(index: VideoIndex, plan: FramePlan, frames: NDArray[np.int64]) -> int:
    """The keyframe from which these source frames decode."""
    shown_at = {int(packet): frame for frame, packet in enumerate(plan.packets)}
    fits = [
        int(key)
        for key in np.flatnonzero(index.keyframes)
        if key <= plan.packets[frames].min() and shown_at.get(int(key), -1) <= frames[0]
    ]
    return fits[-1] if fits else 0


def _check(index: VideoIndex, plan: FramePlan, chunks: list[Chunk], lead: Lead = NO_LEAD) -> None:
    """Everything that must hold of a cut."""
    output = plan.output
    assert [c.chunk_index for c in chunks] == list(range(len(chunks)))
    assert [c.frame_start for c in chunks] == [0, *(c.frame_stop for c in chunks[:-1])]
    assert chunks[-1].frame_stop == len(output)
    owned = [n for c in chunks for n in range(c.owned_start, c.owned_stop)]
    assert owned == list(range(len(output.needed)))
    for chunk, before, after in zip(chunks, [None, *chunks], [*chunks[1:], None], strict=False):
        frames = slice(chunk.frame_start, chunk.frame_stop)
        shown = {*output.first[frames].tolist(), *output.second[frames].tolist()}
        wanted = output.needed[chunk.decode_start : chunk.decode_stop]
        least, most = np.searchsorted(output.needed, [min(shown), max(shown)])
        assert chunk.decode_start == max(0, least - lead.before)
        assert chunk.decode_stop == min(len(output.needed), most + 1 + lead.after)
        packets = plan.packets[wanted]
        assert chunk.frame_count > 0
        assert chunk.packet_start <= packets.min()
        assert packets.max() + 1 == chunk.packet_stop <= chunk.packet_limit <= len(index)
        assert chunk.packet_start == _entry(index, plan, wanted)
        own = output.needed[least : most + 1]
        again = int(plan.packets[own].min()) - _entry(index, plan, own)
        if before is None or again <= 0.25 * len(own):
            assert chunk.lane == chunk.chunk_index
        else:
            assert chunk.lane == before.lane
        if after is not None and after.lane == chunk.lane:
            assert chunk.held_from == min(after.decode_start, chunk.decode_stop)
        else:
            assert chunk.held_from == chunk.decode_stop


@given(
    video=st.one_of(videos(), retimed()),
    chunk_seconds=st.sampled_from([*LENGTHS, 0.05]),
    lead=st.builds(Lead, before=st.integers(0, 5), after=st.integers(0, 5)),
)
@settings(max_examples=150, deadline=None)
def test_a_chunk_decodes_what_its_frames_show_and_what_processors_want_around(
    video: tuple[VideoIndex, FramePlan], chunk_seconds: float | None, lead: Lead
) -> None:
    _check(*video, cut_chunks(*video, chunk_seconds, lead), lead)


@given(video=videos(), chunk_seconds=st.sampled_from([*LENGTHS, 0.05, 2.0]))
@settings(max_examples=150, deadline=None)
def test_ranges_cover_all_frames_and_begin_at_a_keyframe_that_shows_them(
    video: tuple[VideoIndex, FramePlan], chunk_seconds: float | None
) -> None:
    _check(*video, cut_chunks(*video, chunk_seconds))


@given(video=videos())
@settings(max_examples=25, deadline=None)
def test_the_same_video_is_always_cut_the_same_way(video: tuple[VideoIndex, FramePlan]) -> None:
    index, plan = video
    copy = dataclasses.replace(index, pts=index.pts.copy(), keyframes=index.keyframes.copy())
    assert cut_chunks(index, plan, 0.37) == cut_chunks(copy, plan, 0.37)


@pytest.mark.parametrize("chunk_seconds", LENGTHS)
@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_every_good_file_is_cut_into_chunks_that_hold(
    media_studio: Studio, name: str, chunk_seconds: float | None
) -> None:
    index, plan = planned(media_studio.path(name))
    _check(index, plan, cut_chunks(index, plan, chunk_seconds))


@given(video=videos(), chunk_seconds=st.sampled_from([*LENGTHS, 0.05, 2.0]))
@settings(max_examples=50, deadline=None)
def test_a_cut_at_every_group_is_a_cut_like_any_other(
    video: tuple[VideoIndex, FramePlan], chunk_seconds: float | None
) -> None:
    _check(*video, cut_chunks(*video, chunk_seconds, every_group=True))


def test_every_group_is_a_chunk_but_for_short_ones() -> None:
    index = made_up_index([0] * 100, [0, 12, 24, 26, 60, 63, 66, 96])
    plan = made_up_plan(range(100), range(0, 4000, 40))
    chunks = cut_chunks(index, plan, 1000.0, every_group=True)
    assert [c.frame_start for c in chunks] == [0, 12, 24, 60, 96]


def test_leading_pictures_of_open_groups_are_chunks_of_their_own() -> None:
    # The keyframe 4 has leading pictures, 5 and 6, that need the group before; the keyframe 8 none.
    index = made_up_index([0] * 12, [0, 4, 8])
    plan = made_up_plan([0, 1, 2, 3, 5, 6, 4, 7, 8, 9, 10, 11], range(0, 12000, 1000))
    chunks = cut_chunks(index, plan, 1000.0, every_group=True)
    assert [c.frame_start for c in chunks] == [0, 4, 6, 8]


def test_one_frame_chunks_are_one_frame_each() -> None:
    index, plan = made_up_index([0] * 50, [0, 25]), made_up_plan(range(50), range(0, 2000, 40))
    assert [c.frame_count for c in cut_chunks(index, plan, 0.001)] == [1] * 50


def test_cuts_lie_at_keyframes_near_the_wanted_length() -> None:
    index = made_up_index([0] * 100, range(0, 100, 12))
    plan = made_up_plan(range(100), range(0, 4000, 40))
    assert [c.frame_start for c in cut_chunks(index, plan, 1.0)] == [0, 24, 48, 72, 96]


def test_leading_pictures_of_a_keyframe_are_carried_from_the_one_before() -> None:
    # Packets 4, 5, 6 in decode order: the keyframe 4 is shown behind its leading pictures 5 and 6.
    index, plan = made_up_index([0] * 8, [0, 4]), made_up_plan([0, 1, 2, 3, 5, 6, 4, 7], range(8))
    by_start = {c.frame_start: c for c in cut_chunks(index, plan, 0.0001)}
    assert [by_start[f].packet_start for f in (3, 4, 5, 6, 7)] == [0, 0, 0, 4, 4]


def test_a_second_field_behind_the_last_frame_is_fed_with_it() -> None:
    index = made_up_index([0] * 8, [0, 4])
    plan = made_up_plan([0, 2, 4, 6], [0, 40, 80, 120])
    assert [c.packet_limit for c in cut_chunks(index, plan, 0.08)] == [4, 8]


def test_a_video_without_any_keyframe_is_one_lane_from_its_start() -> None:
    index, plan = made_up_index([0] * 40, []), made_up_plan(range(40), range(0, 1600, 40))
    chunks = cut_chunks(index, plan, 0.2)
    assert {c.packet_start for c in chunks} == {0}
    assert {c.lane for c in chunks} == {0}


@pytest.mark.parametrize(("length", "wanted"), [(1.0, 2.0), (20.0, 5.0), (7200.0, 10.0)])
def test_the_usual_length_lies_between_two_and_ten_seconds(length: float, wanted: float) -> None:
    assert default_chunk_seconds(length) == wanted


def test_a_chunk_knows_no_worker() -> None:
    fields: set[Any] = {f.name for f in dataclasses.fields(Chunk)}
    assert not {name for name in fields if "worker" in name}


@pytest.mark.long
def test_three_hours_are_cut_in_seconds() -> None:
    count = 324_000
    index = made_up_index(range(count), range(0, count, 60))
    plan = made_up_plan(range(count), range(0, 33 * count, 33))
    began = time.process_time()
    assert len(cut_chunks(index, plan, 1.0)) > 5_000
    assert time.process_time() - began < 5


@given(videos(), st.sampled_from(LENGTHS), st.integers(1, 20), st.data())
@settings(max_examples=60, deadline=None)
def test_an_analysis_is_cut_at_anchors_and_each_chunk_decodes_the_anchor_behind_it(
    video: tuple[VideoIndex, FramePlan], length: float | None, distance: int, data: st.DataObject
) -> None:
    index, plan = video
    count = len(plan.output)
    start = data.draw(st.integers(-5, count - 1))
    stop = data.draw(st.integers(max(start, 0) + 1, count + 5))
    chunks = cut_at_anchors(index, plan, length, distance, (start, stop))
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert chunks[0].frame_start <= max(start, 0)
    assert chunks[-1].frame_stop >= min(stop, count)
    for chunk in chunks:
        assert chunk.frame_start % distance == 0
        assert chunk.frame_stop % distance == 0 or chunk.frame_stop == count
        assert chunk.decode_start == chunk.owned_start == chunk.frame_start
        assert chunk.owned_stop == chunk.frame_stop
        assert chunk.decode_stop == min(count, chunk.frame_stop + 1)
    for one, other in itertools.pairwise(chunks):
        assert one.frame_stop == other.frame_start
