from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from farm.errors import SettingsError
from scheduler.schedules.rule import Missed, Rule, parse_every

ZURICH = ZoneInfo("Europe/Zurich")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def fires(rule: Rule, start: datetime = NEW_YEAR, length: timedelta = YEAR) -> list[datetime]:
    found = []
    following = rule.next_fire(start)
    while following is not None and following < start + length:
        found.append(following)
        following = rule.next_fire(following)
    return found


def test_a_nightly_schedule_fires_once_a_day_over_a_year_with_both_clock_changes() -> None:
    rule = Rule(cron="0 4 * * *", zone="Europe/Zurich")
    local = [fire.astimezone(ZURICH) for fire in fires(rule)]
    assert len(local) == 365
    assert {(fire.hour, fire.minute) for fire in local} == {(4, 0)}
    assert len({fire.date() for fire in local}) == 365
    assert {fire.utcoffset() for fire in local} == {timedelta(hours=1), timedelta(hours=2)}


def test_a_time_in_the_hour_that_comes_twice_fires_once() -> None:
    rule = Rule(cron="30 2 * * *", zone="Europe/Zurich")
    autumn = [f.astimezone(ZURICH) for f in fires(rule) if f.month == 10 and f.day in (24, 25, 26)]
    assert [fire.day for fire in autumn] == [24, 25, 26]


def test_a_time_that_the_clock_skips_does_not_stop_the_schedule() -> None:
    rule = Rule(cron="30 2 * * *", zone="Europe/Zurich")
    spring = [f.astimezone(ZURICH) for f in fires(rule) if f.month == 3 and f.day in (28, 29, 30)]
    assert [fire.day for fire in spring] in ([28, 30], [28, 29, 30])


def test_cron_numbers_days_of_the_week_from_sunday_and_takes_either_day() -> None:
    sundays = fires(Rule(cron="0 0 * * 0"))
    assert {fire.weekday() for fire in sundays} == {6}
    assert sundays == fires(Rule(cron="0 0 * * 7")) == fires(Rule(cron="0 0 * * sun"))
    assert {f.weekday() for f in fires(Rule(cron="0 0 * * 1-5"))} == {0, 1, 2, 3, 4}
    either = fires(Rule(cron="0 0 1 * 1"))
    assert all(fire.day == 1 or fire.weekday() == 0 for fire in either)
    assert len(either) > 52 + 8


def test_intervals_keep_their_step_across_clock_changes() -> None:
    rule = Rule(every=timedelta(hours=6), start=NEW_YEAR, zone="Europe/Zurich")
    found = fires(rule)
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(hours=6)}


def test_a_one_off_time_fires_once() -> None:
    at = NEW_YEAR + timedelta(days=3)
    assert fires(Rule(at=at)) == [at]


@pytest.mark.parametrize(("missed", "count"), [(Missed.ALL, 5), (Missed.ONCE, 1), (Missed.SKIP, 0)])
def test_fires_that_a_downtime_swallowed_are_made_up_for_as_told(
    missed: Missed, count: int
) -> None:
    rule = Rule(cron="0 2 * * *", missed=missed)
    now = NEW_YEAR + timedelta(days=5)
    assert len(rule.due(NEW_YEAR, now)) == count


def test_a_fire_that_is_hardly_late_was_not_missed() -> None:
    rule = Rule(cron="0 2 * * *", missed=Missed.SKIP)
    now = datetime(2026, 1, 4, 2, 1, tzinfo=UTC)
    assert rule.due(NEW_YEAR, now) == [datetime(2026, 1, 4, 2, 0, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "takes one of --cron, --at and --every"),
        ({"cron": "0 2 * *"}, "has 4 fields instead of 5"),
        ({"cron": "0 25 * * *"}, "--cron '0 25"),
        ({"cron": "0 2 * * *", "zone": "Europe/Zuric"}, "did you mean Europe/Zurich"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Rule(**fields)  # type: ignore[arg-type]


def test_a_day_that_no_month_has_never_fires() -> None:
    assert Rule(cron="0 0 31 2 *").next_fire(NEW_YEAR) is None


def test_intervals_are_written_with_a_unit() -> None:
    assert parse_every("90s") == timedelta(seconds=90)
    assert parse_every("6h") == timedelta(hours=6)
    for text in ("6", "0h", "h", "1w"):
        with pytest.raises(SettingsError, match="write like 90s"):
            parse_every(text)
