"""Times and rates as users write them."""

from fractions import Fraction

import pytest

from farm.errors import SettingsError
from farm.time_text import parse_rate, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", "12.5"),
        ("0", "0"),
        (".5", "0.5"),
        ("90", "90"),
        ("1:02.25", "62.25"),
        ("1:00:02.125", "3602.125"),
        ("0:00:01.001", "1.001"),
        (" 7 ", "7"),
    ],
)
def test_a_time_is_read_exactly(text: str, seconds: str) -> None:
    assert parse_time("--start", text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1:2:3:4", "1:60", "1:75:00", "1e3", "9999999"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--start"):
        parse_time("--start", text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", "25"),
        ("30000/1001", "30000/1001"),
        ("29.97", "30000/1001"),
        ("23.976", "24000/1001"),
        ("59.94", "60000/1001"),
        ("12.5", "25/2"),
    ],
)
def test_a_rate_is_read_exactly(text: str, rate: str) -> None:
    assert parse_rate("--fps", text) == Fraction(rate)


@pytest.mark.parametrize("text", ["", "fast", "0", "-25", "1/0", "2000", "0.01", "25.00000001"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--fps"):
        parse_rate("--fps", text)
