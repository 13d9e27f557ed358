from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm import encoder_trial
from farm.encoder_trial import try_choice, try_encoder
from farm.media.encoder_names import is_listed
from farm.media.encoders import choose_encoder
from tests.media.broken_encoders import break_encoder, going_green
from tests.media.finish_case import parameters


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "ffv1"])
def test_software_encoders_pass_their_trial(encoder: str) -> None:
    assert try_encoder(encoder) is None


def test_an_encoder_that_is_not_built_in_says_so() -> None:
    assert not is_listed("no_such_encoder")
    assert try_encoder("no_such_encoder") == "not built into PyAV"


def test_a_decoder_is_no_encoder() -> None:
    assert not is_listed("libdav1d")


@pytest.mark.parametrize("quality", [0, 18, 51])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuvj420p", "gray", "yuv444p"])
def test_an_honest_encoder_passes_at_every_quality_and_pixel_format(
    quality: int, pix_fmt: str
) -> None:
    stream = parameters(pix_fmt)
    trial = try_choice(choose_encoder("libx264", quality, stream)[0], stream)
    assert trial.problem is None
    assert trial.parameter_sets


def test_a_listed_encoder_without_its_device_fails_with_the_reason() -> None:
    stream = parameters()
    choice = choose_encoder("h264_amf", 18, stream)[0]
    assert "cannot encode yuv420p 96x64 here (" in (try_choice(choice, stream).problem or "")


def test_an_encoder_that_returns_green_pictures_fails_its_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_encoder(monkeypatch, "libx264", going_green(after=1))
    stream = parameters(width=320, height=240)
    problem = try_choice(choose_encoder("libx264", 18, stream)[0], stream).problem
    assert "its pictures are wrong" in (problem or "")


def test_what_is_to_be_lossless_must_come_back_sample_by_sample() -> None:
    stream = parameters()
    lossy = choose_encoder("libx264", 1, stream)[0]
    problem = try_choice(replace(lossy, lossless=True), stream).problem
    assert "is to be lossless and is not" in (problem or "")


def test_lost_frames_fail_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(encoder_trial, "decode_packets", nothing)
    assert try_encoder("ffv1") == "0 of 6 frames came back"
