"""The plan of frames: which, when, and what is said where the source is not as it should be."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import MediaError
from farm.media.index import NO_PTS
from farm.media.listing import FrameListing
from farm.media.plan import FramePlan, plan_frames
from tests.media.chunk_run import planned
from tests.media_maker import Kind, Studio, names_of, serial_frames
from tests.scheduler.made_up import made_up_index

RETIMED = {"bframes.avi", "raw.264", "joined.ts"}


def _listed(
    pts: Sequence[int],
    packets: Sequence[int] | None = None,
    *,
    corrupt: Sequence[int] = (),
    failed: tuple[int, ...] = (),
    dts: Sequence[int] | None = None,
    damage: tuple[str, ...] = (),
) -> FramePlan:
    """Plan of a listing that shows `packets` (all of them, in order, if not told otherwise)."""
    index = made_up_index(pts, [0], dts=dts, damage=damage)
    numbers = np.array(range(len(pts)) if packets is None else packets, dtype=np.int64)
    flags = np.zeros(len(numbers), dtype=np.bool_)
    flags[list(corrupt)] = True
    listing = FrameListing(
        packets=numbers, pts=index.pts[numbers], corrupt=flags, failed_packets=failed
    )
    return plan_frames(index, listing)


@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_frames_are_shown_at_the_times_of_a_serial_decode(media_studio: Studio, name: str) -> None:
    index, plan = planned(media_studio.path(name))
    serial = serial_frames(media_studio.path(name))
    assert len(plan) == len(serial)
    assert plan.damage == ()
    if name not in RETIMED:
        assert plan.times.time_base == index.stream.time_base
        assert plan.times.pts.tolist() == [frame.pts for frame in serial]
        assert plan.notes == ()


def test_a_trusted_index_is_shown_in_the_order_of_its_pts() -> None:
    plan = plan_frames(made_up_index([0, 120, 40, 80], [0]), None)
    assert plan.packets.tolist() == [0, 2, 3, 1]
    assert plan.times.durations.tolist() == [40, 40, 40, 40]


def test_a_source_without_timestamps_gets_its_frame_rate() -> None:
    plan = _listed([NO_PTS] * 4, dts=[NO_PTS] * 4)
    assert [plan.times.seconds(i) for i in range(4)] == [Fraction(i, 25) for i in range(4)]
    assert "no timestamps" in plan.notes[0]


def test_frames_with_repeated_fields_stay_longer_where_there_are_no_timestamps() -> None:
    index = made_up_index([NO_PTS] * 4, [0], dts=[NO_PTS] * 4, durations=[40, 60, 40, 60])
    listing = FrameListing(
        packets=np.array([0, 2, 1, 3]),
        pts=index.pts,
        corrupt=np.zeros(4, dtype=np.bool_),
        failed_packets=(),
    )
    plan = plan_frames(index, listing)
    assert plan.times.pts.tolist() == [0, 40, 80, 140]
    assert plan.times.durations.tolist() == [40, 40, 60, 60]
    assert "as their fields say" in plan.notes[0]
    slow = replace(index, durations=np.array([80, 120, 80, 120]))
    assert plan_frames(slow, listing).times.pts.tolist() == [0, 1, 2, 3]


def test_a_source_with_decoding_times_only_keeps_them() -> None:
    plan = _listed([NO_PTS] * 4, [0, 2, 1, 3], dts=[0, 40, 200, 240])
    assert plan.times.pts.tolist() == [0, 40, 200, 240]


def test_frames_without_a_timestamp_are_shown_between_their_neighbours() -> None:
    plan = _listed([NO_PTS, 100, NO_PTS, NO_PTS, 220, NO_PTS])
    assert plan.times.pts.tolist() == [-20, 100, 140, 180, 220, 340]
    assert "4 frames have no timestamp" in plan.notes[0]


def test_times_in_decode_order_are_sorted() -> None:
    plan = _listed([1, 3, 4, 2, 6, 7, 5])
    assert plan.times.pts.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert plan.notes == ()


def test_where_the_clock_restarts_later_frames_follow_on() -> None:
    first = list(range(0, 4000, 40))
    plan = _listed(first + first)
    assert plan.times.pts.tolist() == list(range(0, 8000, 40))
    assert "jumps 1 times" in plan.notes[0]


def test_a_double_timestamp_moves_one_frame_and_no_other() -> None:
    plan = _listed([0, 40, 40, 80, 120])
    assert plan.times.pts.tolist() == [0, 40, 41, 80, 120]
    assert "1 frames" in plan.notes[0]


@settings(deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6) | st.just(NO_PTS), min_size=1, max_size=60))
def test_any_timestamps_become_strictly_increasing(pts: list[int]) -> None:
    times = _listed(pts).times  # checked when made
    assert len(times) == len(pts)


def test_a_packet_that_shows_two_frames_counts_once() -> None:
    assert _listed([0, 40, 80], [0, 1, 1, 2]).packets.tolist() == [0, 1, 2]


def test_damage_is_said_at_its_place() -> None:
    plan = _listed(
        [0, 120, 40, 80, 160], [0, 2, 1, 4], corrupt=[1], failed=(3,), damage=("cut off",)
    )
    assert [(float(d.time_s), d.frames_lost, d.reason) for d in plan.damage] == [
        (0.04, 0, "decoded with errors"),
        (0.16, 1, "does not decode"),
        (0.16, 0, "cut off"),
    ]


def test_a_decoder_that_does_not_name_packets_is_refused() -> None:
    with pytest.raises(MediaError, match="which packet"):
        _listed([0, 40], [0, -1])


def test_the_plan_does_not_change_its_index() -> None:
    index = made_up_index([0, 40, 40, 80], [0])
    before = replace(index, pts=index.pts.copy())
    numbers = np.arange(4)
    plan_frames(
        index,
        FrameListing(
            packets=numbers,
            pts=index.pts,
            corrupt=np.zeros(4, dtype=np.bool_),
            failed_packets=(),
        ),
    )
    assert (index.pts == before.pts).all()
