"""Times and frame rates as users write them, as exact numbers.

Not for: timestamps of files, which are exact already.
"""

from __future__ import annotations

import re
from fractions import Fraction

from farm.errors import SettingsError

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")
_MOST_S = 1_000_000
_MOST_RATE = 1000
_BROADCAST = {
    Fraction(text): Fraction(nearest * 1000, 1001)
    for text, nearest in (
        ("23.976", 24),
        ("23.98", 24),
        ("29.97", 30),
        ("47.952", 48),
        ("59.94", 60),
        ("119.88", 120),
    )
}
"""What everybody means by these roundings."""


def parse_time(option: str, text: str) -> Fraction:
    """Seconds of `12.5`, `1:02.5` or `1:00:02.5`.

    Args:
        option: What messages call it.
        text: As it was written.

    Raises:
        SettingsError: It is no time.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{option} {text}: write seconds (12.5) or H:MM:SS.mmm (0:01:30.5)")
    seconds = Fraction(match[3])
    if match[2] is not None:
        if seconds >= 60 or (match[1] is not None and int(match[2]) >= 60):
            raise SettingsError(f"{option} {text}: minutes and seconds go from 0 to 59")
        seconds += 60 * int(match[2]) + 3600 * int(match[1] or 0)
    if seconds > _MOST_S:
        raise SettingsError(f"{option} {text}: no video is that long")
    return seconds


def parse_rate(option: str, text: str) -> Fraction:
    """Frames per second of `25`, `12.5`, `30000/1001`; 29.97 and its like mean the broadcast rates.

    Args:
        option: What messages call it.
        text: As it was written.

    Raises:
        SettingsError: It is no rate, or none between 1/60 and 1000.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise SettingsError(f"{option} {text}: write frames per second: 25 or 30000/1001") from None
    rate = _BROADCAST.get(rate, rate)
    if not Fraction(1, 60) <= rate <= _MOST_RATE:
        raise SettingsError(f"{option} {text}: must be between 1/60 and {_MOST_RATE}")
    if max(rate.numerator, rate.denominator) > _MOST_S:
        raise SettingsError(f"{option} {text}: write it with fewer digits")
    return rate
