from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farm.errors import SettingsError
from farm.settings import EncodeOn, EncoderSettings, RenderSettings, TimeSettings, bits_per_s


@pytest.mark.parametrize(
    ("text", "bits"), [("4M", 4_000_000), ("2.5m", 2_500_000), ("900k", 900_000)]
)
def test_a_rate_is_read_in_bits_per_second(text: str, bits: int) -> None:
    assert bits_per_s("--bitrate", text) == bits


@pytest.mark.parametrize("text", ["", "fast", "4G", "-1", "10", "1e9"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="write bits per second"):
        bits_per_s("--bitrate", text)


@pytest.mark.parametrize(
    "wrong",
    [{"two_pass": True}, {"options": ("preset",)}, {"options": ("=3",)}, {"options": ("a=",)}],
)
def test_an_encoder_setting_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        EncoderSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoding": EncoderSettings(bitrate="1M"), "encode_on": EncodeOn.WORKER},
        {"encoding": EncoderSettings(maxrate="1M"), "video_quality": 0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="leave one of them out"):
        RenderSettings(target=Path("in.mp4"), output=Path("out.mp4"), **wrong)


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(SettingsError, match="must lie behind --start 2"):
        TimeSettings(start=Fraction(2), end=Fraction(3, 2))
