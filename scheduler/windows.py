"""Windows: the times at which jobs may run, like "22:00-06:00 mon-fri Europe/Zurich".

Wall-clock times of a time zone, so that a window moves with daylight saving. A window that ends at
or before it begins ends on the next day; its days are those on which it begins.
Not for: schedules, which begin jobs (`scheduler.schedules`).
"""

from __future__ import annotations

import json
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tzlocal import get_localzone_name

from farm.errors import SettingsError
from farm.names import nearest, unknown_name

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"daily": "mon-sun", "weekdays": "mon-fri", "weekends": "sat-sun"}
_TIMES = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_LOOK_AHEAD_DAYS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of the day, on some days of the week."""

    begin: time
    end: time
    days: tuple[int, ...]
    """0 is Monday."""
    zone: ZoneInfo

    def spans(self, near: datetime) -> list[tuple[datetime, datetime]]:
        """(begin, end) in UTC of the windows from the day before `near` on, for some days."""
        today = near.astimezone(self.zone).date()
        days = (today + timedelta(days=offset) for offset in range(-1, _LOOK_AHEAD_DAYS))
        return [self._span(day) for day in days if day.weekday() in self.days]

    def is_open(self, now: datetime) -> bool:
        """Whether `now`, aware, lies within."""
        return any(begin <= now < end for begin, end in self.spans(now))

    def _span(self, day: date) -> tuple[datetime, datetime]:
        last = day if self.end > self.begin else day + timedelta(days=1)
        begin = datetime.combine(day, self.begin, self.zone).astimezone(UTC)
        return begin, datetime.combine(last, self.end, self.zone).astimezone(UTC)


def parse_window(text: str) -> Window:
    """Read a window: times, then days (`mon-fri`, `sat,sun`, `weekdays`), then a time zone.

    Args:
        text: Days default to all, the zone to that of this machine.

    Raises:
        SettingsError: It is none.
    """
    words = text.split()
    match = _TIMES.fullmatch(words[0]) if words else None
    if match is None or len(words) > 3:
        raise SettingsError(f'--window {text!r}: write like "22:00-06:00 mon-fri Europe/Zurich"')
    days, zone = tuple(range(7)), get_localzone_name()
    for word in words[1:]:
        if _is_zone(word):
            zone = word
        else:
            days = _days(word)
    hours = [_time(text, match[i], match[i + 1]) for i in (1, 3)]
    return Window(begin=hours[0], end=hours[1], days=days, zone=ZoneInfo(zone))


def are_open(windows: Sequence[str], now: datetime) -> bool:
    """Whether one of the windows is open; always where there are none."""
    return not windows or any(parse_window(w).is_open(now) for w in windows)


def stored_are_open(text: str, now: datetime) -> bool:
    """`are_open` of windows as the queue stores them: a JSON list, or nothing."""
    return are_open(json.loads(text) if text else (), now)


def next_change(windows: Sequence[str], now: datetime) -> datetime | None:
    """When windows open or close next, UTC; None where there are none."""
    edges = [edge for w in windows for span in parse_window(w).spans(now) for edge in span]
    return min((edge for edge in edges if edge > now), default=None)


def require_zone(name: str, option: str) -> ZoneInfo:
    """The time zone of a name.

    Raises:
        SettingsError: There is none; the message says the nearest.
    """
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        close = nearest(name, zoneinfo.available_timezones())
        hint = f"did you mean {close}?" if close else "write one like Europe/Zurich"
        raise SettingsError(f"{option} {name}: there is no such time zone; {hint}") from error


def _is_zone(word: str) -> bool:
    """Whether a word is meant as a time zone, by its capital."""
    if not word[0].isupper():
        return False
    require_zone(word, "--window")
    return True


def _days(word: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in _NAMED.get(word, word).split(","):
        first, _, last = part.partition("-")
        low, high = _day(first), _day(last or first)
        found |= {(low + i) % 7 for i in range((high - low) % 7 + 1)}
    return tuple(sorted(found))


def _day(name: str) -> int:
    if name not in DAYS:
        raise unknown_name("--window: the day", name, (*DAYS, *_NAMED))
    return DAYS.index(name)


def _time(text: str, hours: str, minutes: str) -> time:
    if int(hours) > 24 or int(minutes) > 59 or (int(hours) == 24 and int(minutes)):
        raise SettingsError(f"--window {text!r}: {hours}:{minutes} is no time of day")
    return time(int(hours) % 24, int(minutes))
