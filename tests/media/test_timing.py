"""Frame times: checked when made, exact."""

from fractions import Fraction

import numpy as np
import pytest

from farm.media.timing import FrameTimes


def _times(pts: list[int], durations: list[int]) -> FrameTimes:
    return FrameTimes(
        time_base=Fraction(1, 30000),
        pts=np.array(pts, dtype=np.int64),
        durations=np.array(durations, dtype=np.int64),
    )


def test_seconds_are_exact_and_count_from_the_first_frame() -> None:
    times = _times([-1001, 0, 1001], [1001, 1001, 1001])
    assert len(times) == 3
    assert [times.seconds(i) for i in range(3)] == [0, Fraction(1001, 30000), Fraction(2002, 30000)]


@pytest.mark.parametrize(
    ("pts", "durations", "message"),
    [
        ([0, 0], [1, 1], "increasing"),
        ([2, 1], [1, 1], "increasing"),
        ([0, 1], [1, 0], "above 0"),
        ([0, 1], [1], "differ"),
    ],
)
def test_times_that_no_player_could_show_are_refused(
    pts: list[int], durations: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _times(pts, durations)
