from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from farm.errors import JobError
from farm.media.restamp import restamp, timescale_of
from farm.media.timing import FrameTimes


def vfr(steps: list[int], start: int = 0) -> FrameTimes:
    durations = np.array(steps, dtype=np.int64)
    pts = start + np.concatenate([[0], np.cumsum(durations)[:-1]])
    return FrameTimes(time_base=Fraction(1, 30000), pts=pts, durations=durations)


def test_decode_times_never_step_back_where_chunks_meet() -> None:
    times = vfr([1001, 3003, 1001, 2002, 1001, 1001, 5005])
    stamped = restamp([0, 2, 1, 3, 6, 4, 5], times)
    assert (np.diff(stamped.dts) > 0).all()
    assert (stamped.dts <= stamped.pts).all()
    assert stamped.reorder_depth == 1


def test_every_packet_has_the_time_and_duration_of_its_frame() -> None:
    times = vfr([1001, 3003, 1001], start=-500)
    stamped = restamp([0, 2, 1], times)
    assert stamped.pts.tolist() == [-500, 3504, 501]
    assert stamped.durations.tolist() == [1001, 1001, 3003]


def test_without_reordering_decode_times_are_display_times() -> None:
    stamped = restamp([0, 1, 2], vfr([1001, 1001, 1001]))
    assert stamped.dts.tolist() == stamped.pts.tolist()


def test_one_frame_is_enough() -> None:
    assert restamp([0], vfr([1001])).dts.tolist() == [0]


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3]])
def test_missing_or_double_frames_are_refused(order: list[int]) -> None:
    with pytest.raises(JobError, match="for 3 frames"):
        restamp(order, vfr([1, 1, 1]))


def test_a_shift_that_the_time_base_does_not_hold_is_kept_exactly() -> None:
    stamped = restamp([0, 1], vfr([1001, 1001]), Fraction(1, 7000))
    assert stamped.pts[0] == Fraction(1, 7000) * stamped.timescale


def test_a_coarse_time_base_gets_a_fine_multiple() -> None:
    assert timescale_of(Fraction(1, 25)) == 10_000
    assert timescale_of(Fraction(1001, 30000)) == 30000


def test_a_scale_that_no_mp4_holds_is_refused() -> None:
    with pytest.raises(JobError, match="time base"):
        timescale_of(Fraction(1, 2**31 - 1), Fraction(1, 1000))
