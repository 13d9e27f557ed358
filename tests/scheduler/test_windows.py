from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from farm.errors import SettingsError
from scheduler.windows import are_open, next_change, parse_window, stored_are_open

ZURICH = ZoneInfo("Europe/Zurich")
NIGHT = "22:00-06:00 weekdays Europe/Zurich"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZURICH)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-05-04T21:59", False),
        ("2026-05-04T22:00", True),
        ("2026-05-05T05:59", True),
        ("2026-05-05T06:00", False),
        ("2026-05-09T03:00", True),  # Saturday morning belongs to Friday
        ("2026-05-09T22:30", False),
        ("2026-05-11T03:00", False),  # Monday morning belongs to Sunday
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(
    moment: str, is_open: bool
) -> None:
    assert parse_window(NIGHT).is_open(at(moment)) is is_open


def test_a_year_of_windows_with_both_clock_changes_has_the_hours_of_the_wall_clock() -> None:
    window = parse_window("22:00-06:00 Europe/Zurich")
    moment, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    hours = 0
    while moment < end:
        local = moment.astimezone(ZURICH)
        expected = local.hour >= 22 or local.hour < 6
        assert window.is_open(moment) is expected, local
        hours += window.is_open(moment)
        moment += timedelta(hours=1)
    assert hours == 365 * 8  # one hour less in spring, one more in autumn


def test_changes_are_foreseen() -> None:
    assert next_change([NIGHT], at("2026-05-04T12:00")) == at("2026-05-04T22:00")
    assert next_change([NIGHT], at("2026-05-04T23:00")) == at("2026-05-05T06:00")
    assert next_change([NIGHT], at("2026-05-09T12:00")) == at("2026-05-11T22:00")
    assert next_change([], at("2026-05-04T12:00")) is None


def test_without_windows_it_is_always_open() -> None:
    assert are_open([], at("2026-05-04T12:00"))
    assert stored_are_open("", at("2026-05-04T12:00"))
    assert not stored_are_open(f'["{NIGHT}"]', at("2026-05-04T12:00"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write like"),
        ("at night", "write like"),
        ("22-6", "write like"),
        ("25:00-06:00", "is no time of day"),
        ("22:00-06:00 mom", "did you mean 'mon'"),
        ("22:00-06:00 Europe/Zuri", "did you mean Europe/Zurich"),
    ],
)
def test_a_window_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_window(text)
