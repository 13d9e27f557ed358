from __future__ import annotations

import numpy as np
import pytest

from farm import encoder_trial
from farm.encoder_trial import is_listed, try_encoder


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "ffv1"])
def test_software_encoders_pass_their_trial(encoder: str) -> None:
    assert try_encoder(encoder) is None


def test_an_encoder_that_is_not_built_in_says_so() -> None:
    assert not is_listed("no_such_encoder")
    assert try_encoder("no_such_encoder") == "not built into PyAV"


def test_a_decoder_is_no_encoder() -> None:
    assert not is_listed("libdav1d")


def test_wrong_pictures_fail_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        encoder_trial, "_decode", lambda *_: [np.zeros((360, 320), np.uint8) for _ in range(6)]
    )
    assert "its pictures are wrong" in (try_encoder("ffv1") or "")


def test_lost_frames_fail_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_trial, "_decode", lambda *_: [])
    assert try_encoder("ffv1") == "0 of 6 frames came back"
