"""Other times than the source's: which frames are shown, when, and for how long."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import SettingsError
from farm.media.output import OutputFrames
from farm.media.plan import FramePlan
from farm.media.retime import at_rate, multiplied, stretch, trim
from farm.report import Damage
from tests.scheduler.made_up import made_up_plan

TEN = made_up_plan(range(10), range(1000, 1400, 40))
"""Ten frames of 40 ms, from second 1 of the source's clock."""


def seconds(output: OutputFrames) -> list[Fraction]:
    return [int(pts) * output.times.time_base for pts in output.times.pts]


def end_s(output: OutputFrames) -> Fraction:
    return int(output.times.pts[-1] + output.times.durations[-1]) * output.times.time_base


def plan_of(steps: Sequence[int], start: int = 0) -> FramePlan:
    pts = start + np.cumsum([0, *steps])
    return made_up_plan(range(len(pts)), pts.tolist())


def test_nothing_asked_for_shows_every_frame_once_at_its_own_time() -> None:
    assert TEN.output.first.tolist() == TEN.output.second.tolist() == list(range(10))
    assert TEN.output.times.pts.tolist() == TEN.times.pts.tolist()
    assert TEN.output.cut is None


def test_a_trim_keeps_the_frames_between_on_the_clock_of_the_source() -> None:
    output = trim(TEN, Fraction("0.08"), Fraction("0.2")).output
    assert output.first.tolist() == output.needed.tolist() == [2, 3, 4]
    assert output.times.pts.tolist() == [1080, 1120, 1160]
    assert output.times.durations.tolist() == [40, 40, 40]
    assert output.cut is not None
    assert (output.cut.start, output.cut.stop) == (Fraction("1.08"), Fraction("1.2"))


@pytest.mark.parametrize(
    ("start", "stop", "frames"),
    [
        ("0.0799", None, range(2, 10)),
        ("0.0601", "0.1001", range(2, 3)),
        (None, "0.1", range(3)),
        ("0", "9", range(10)),
        ("0.36", "0.4", range(9, 10)),
    ],
)
def test_a_cut_goes_to_the_nearest_border_of_frames(
    start: str | None, stop: str | None, frames: range
) -> None:
    ends = [None if each is None else Fraction(each) for each in (start, stop)]
    assert trim(TEN, *ends).output.first.tolist() == list(frames)


def test_what_has_no_border_in_a_trim_stays_open() -> None:
    tail, head = trim(TEN, Fraction("0.2"), None).output.cut, trim(TEN, None, Fraction("0.2"))
    assert tail is not None
    assert head.output.cut is not None
    assert (tail.start, tail.stop) == (Fraction("1.2"), None)
    assert (head.output.cut.start, head.output.cut.stop) == (None, Fraction("1.2"))


def test_an_end_behind_the_last_frame_keeps_other_streams_up_to_it() -> None:
    cut = trim(TEN, None, Fraction(5)).output.cut
    assert cut is not None
    assert cut.stop == 6


def test_a_frame_that_stays_long_is_itself_cut() -> None:
    output = trim(plan_of([40, 5000, 40]), Fraction(2), Fraction(3)).output
    assert output.first.tolist() == [1]
    assert (output.times.pts.tolist(), output.times.durations.tolist()) == ([2000], [1000])


def test_a_cut_leaves_no_sliver_of_a_long_frame() -> None:
    plan = plan_of([40, 5000, 40])
    assert trim(plan, Fraction("5.035"), None).output.first.tolist() == [2, 3]
    assert trim(plan, None, Fraction("0.045")).output.first.tolist() == [0]


@pytest.mark.parametrize(
    ("start", "stop", "said"),
    [
        ("0.4", None, r"--start 0\.4: the video lasts 0\.400 s"),
        ("0.2", "0.2", "no frame is shown between"),
        ("0.3", "0.1", "no frame is shown between"),
        (None, "0.001", "no frame is shown between"),
    ],
)
def test_a_trim_that_leaves_nothing_is_refused(
    start: str | None, stop: str | None, said: str
) -> None:
    ends = [None if each is None else Fraction(each) for each in (start, stop)]
    with pytest.raises(SettingsError, match=said):
        trim(TEN, *ends)


def test_damage_outside_of_a_trim_is_not_said() -> None:
    places = [Fraction(n, 100) for n in (4, 8, 16, 20)]
    damage = tuple(Damage(time_s=at, frames_lost=1, reason="gone") for at in places)
    kept = trim(replace(TEN, damage=damage), Fraction("0.08"), Fraction("0.2"))
    assert [each.time_s for each in kept.damage] == places[1:3]


def test_a_stretch_begins_with_the_frame_that_is_on_screen_then() -> None:
    cut = stretch(TEN, 0.1, 3).output
    assert cut.first.tolist() == [2, 3, 4]
    assert cut.cut is not None
    assert (cut.cut.start, cut.cut.stop) == (Fraction("1.08"), Fraction("1.2"))
    assert stretch(TEN, 0.36, 50).output.first.tolist() == [9]


@pytest.mark.parametrize("start_s", [0.4, 99.0, -1.0])
def test_a_stretch_outside_the_video_is_refused(start_s: float) -> None:
    with pytest.raises(SettingsError, match=r"lasts 0\.40 s"):
        stretch(TEN, start_s, 3)


def test_half_the_rate_leaves_out_every_second_frame() -> None:
    output = at_rate(TEN, Fraction("12.5")).output
    assert output.first.tolist() == [0, 2, 4, 6, 8]
    assert seconds(output) == [1 + Fraction(8 * n, 100) for n in range(5)]


def test_twice_the_rate_shows_every_frame_twice() -> None:
    plan = at_rate(TEN, Fraction(50))
    assert plan.output.first.tolist() == [n // 2 for n in range(20)]
    assert plan.output.rate == 50
    assert "10 repeat another one; 0 of the source are not shown" in plan.notes[-1]


def test_times_that_a_container_rounded_to_a_millisecond_come_out_even_again() -> None:
    rate = Fraction(30000, 1001)
    pts = [round(n / rate * 1000) for n in range(300)]
    output = at_rate(made_up_plan(range(300), pts), rate).output
    assert output.first.tolist() == list(range(300))
    assert seconds(output) == [n / rate for n in range(300)]


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    rate=st.fractions(Fraction(1, 2), 240, max_denominator=1001),
    between=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_rate_is_even_ends_with_the_source_and_shows_frames_near_their_time(
    steps: list[int], rate: Fraction, between: bool
) -> None:
    plan = plan_of(steps, start=-500)
    output = at_rate(plan, rate, between=between).output
    times = seconds(output)
    assert times == [Fraction(-1, 2) + n / rate for n in range(len(output))]
    one = 1 / rate
    assert end_s(output) == times[-1] + one
    assert abs(end_s(output) - end_s(plan.output)) <= one / 2 or len(output) == 1
    for at, first, second, phase in zip(
        times, output.first, output.second, output.phases, strict=True
    ):
        low, high = (int(plan.times.pts[n]) * plan.times.time_base for n in (first, second))
        if phase:
            assert second == first + 1
            assert float(low + Fraction(float(phase)) * (high - low)) == pytest.approx(float(at))
        elif not between:
            later = plan.times.pts[first + 1 :]
            assert low < at + one / 2 or first == 0
            assert not len(later) or Fraction(int(later[0]), 1000) >= at + one / 2
    assert (np.diff(output.first) >= 0).all()
    assert (np.diff(output.second) >= 0).all()


def test_frames_are_put_evenly_between_two_and_the_last_one_keeps_its_length() -> None:
    output = multiplied(plan_of([40, 80]), 4, Fraction(25)).output
    assert output.first.tolist() == [0] * 4 + [1] * 4 + [2]
    assert output.second.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert output.phases.tolist() == [0, 0.25, 0.5, 0.75] * 2 + [0]
    assert seconds(output) == [Fraction(n, 100) for n in (0, 1, 2, 3, 4, 6, 8, 10, 12)]
    assert end_s(output) == Fraction(16, 100)
    assert output.rate == 100


def test_steps_that_a_factor_does_not_divide_stay_exact() -> None:
    output = multiplied(plan_of([33, 34]), 4, None).output
    assert seconds(output)[1::4] == [Fraction(33, 4000), Fraction(33, 1000) + Fraction(34, 4000)]


def test_one_frame_alone_has_nothing_in_between() -> None:
    assert multiplied(plan_of([]), 2, None).output.first.tolist() == [0]
    assert at_rate(plan_of([]), Fraction(50), between=True).output.first.tolist() == [0, 0]


def test_a_trimmed_video_at_another_rate_begins_where_it_was_cut() -> None:
    output = at_rate(trim(TEN, Fraction("0.08"), Fraction("0.2")), Fraction(50)).output
    assert output.first.tolist() == [2, 2, 3, 3, 4, 4]
    assert seconds(output)[0] == Fraction("1.08")
    assert output.cut is not None
    assert output.cut.stop == Fraction("1.2")


def test_source_frames_that_nothing_shows_are_not_needed() -> None:
    output = at_rate(TEN, Fraction("12.5")).output
    assert output.needed.tolist() == [0, 2, 4, 6, 8]
    assert output.places(1, 3) == (1, 3)
