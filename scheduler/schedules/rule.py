"""When a schedule fires: cron, once, or every so often; a pure function of times.

APScheduler computes the times, daylight saving included. Not for: what is added then
(`scheduler.schedules.store`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from tzlocal import get_localzone_name

from farm.errors import SettingsError
from scheduler.windows import require_zone

GRACE = timedelta(minutes=5)
"""A fire that is late by less was not missed."""
_MOST_MISSED = 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Missed(StrEnum):
    """What becomes of fires that a downtime swallowed."""

    ONCE = "once"
    ALL = "all"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a schedule fires; one of `cron`, `at` and `every` is given."""

    cron: str | None = None
    """Five fields: minute, hour, day of month, month, day of week (0 or 7 is Sunday)."""
    at: datetime | None = None
    """Aware."""
    every: timedelta | None = None
    start: datetime | None = None
    """Of the intervals; aware."""
    zone: str = "UTC"
    missed: Missed = Missed.ONCE

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.cron, self.at, self.every)) != 1:
            raise SettingsError("a schedule takes one of --cron, --at and --every")
        require_zone(self.zone, "--timezone")
        self._trigger()

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire later than `after`, UTC; None where there is none any more.

        A time of day that comes twice, when the clock is set back, fires the first time only.
        """
        if self.at is not None:
            return self.at.astimezone(UTC) if self.at > after else None
        found: datetime | None = after
        while found is not None:
            # In UTC: adding to a local time forgets which of two equal ones it was.
            after = found.astimezone(UTC) + timedelta(microseconds=1)
            found = self._trigger().get_next_fire_time(None, after)
            if found is None or not (found.fold and self._at_fixed_hours):
                break
        return None if found is None else found.astimezone(UTC)

    def due(self, last: datetime, now: datetime) -> list[datetime]:
        """Fires that are to be carried out now.

        Args:
            last: Up to when fires are done with.
            now: Aware UTC.
        """
        fires: list[datetime] = []
        following = self.next_fire(last)
        while following is not None and following <= now and len(fires) < _MOST_MISSED:
            fires.append(following)
            following = self.next_fire(following)
        if self.missed is Missed.ALL:
            return fires
        if self.missed is Missed.ONCE:
            return fires[-1:]
        return [fire for fire in fires[-1:] if now - fire <= GRACE]

    @property
    def _at_fixed_hours(self) -> bool:
        return self.cron is not None and "*" not in self.cron.split()[1]

    def _trigger(self) -> Any:
        zone = require_zone(self.zone, "--timezone")
        if self.cron is not None:
            return _cron(self.cron, zone)
        if self.every is None:
            return None
        return IntervalTrigger(seconds=self.every.total_seconds(), start_date=self.start)


def local_zone() -> str:
    """Name of this machine's time zone."""
    return str(get_localzone_name())


def parse_every(text: str) -> timedelta:
    """An interval like `90s`, `30m`, `6h` or `1d`.

    Raises:
        SettingsError: It is none.
    """
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if match is None or not int(match[1]):
        raise SettingsError(f"--every {text}: write like 90s, 30m, 6h or 1d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _cron(text: str, zone: object) -> Any:
    """A trigger for the five fields, read as cron does.

    Days of the week are numbered from Sunday; where days of the month are restricted as well, one
    of the two suffices.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        said = f"has {len(fields)} fields instead of {len(_FIELDS)}, like '0 2 * * *'"
        raise SettingsError(f"--cron {text!r}: {said}")
    fields[4] = re.sub(r"(?<![/\d])\d(?!\d)", lambda m: _weekday(m[0]), fields[4])
    values = dict(zip(_FIELDS, fields, strict=True))
    try:
        if "*" in (fields[2], fields[4]):
            return CronTrigger(**values, timezone=zone)
        either = ({**values, "day": "*"}, {**values, "day_of_week": "*"})
        return OrTrigger([CronTrigger(**each, timezone=zone) for each in either])
    except (ValueError, IndexError) as error:
        raise SettingsError(f"--cron {text!r}: {error}") from error


def _weekday(digit: str) -> str:
    return _WEEKDAYS[int(digit)] if int(digit) < len(_WEEKDAYS) else digit
