from __future__ import annotations

import pytest

from farm.stop import StopRequest


def test_the_first_press_drains_and_the_second_stops() -> None:
    stop = StopRequest()
    stop.can_drain = True
    stop.press()
    assert stop.asked
    with pytest.raises(KeyboardInterrupt):
        stop.press()


def test_the_first_press_stops_where_there_is_nothing_to_drain() -> None:
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt):
        stop.press()
    assert not stop.asked


def test_cleaning_up_is_left_alone() -> None:
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt):
        stop.press()
    stop.press()
