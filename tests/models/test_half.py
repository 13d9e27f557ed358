from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.errors import ModelError
from farm.models.half import half_copy
from farm.models.session import SessionSettings, open_session
from farm.precision import Precision
from tests.model_maker import make_painter

CPU = SessionSettings(provider="cpu", threads=1)


def test_the_copy_gives_nearly_the_same_and_is_made_once(tmp_path: Path) -> None:
    model, folder = make_painter(tmp_path / "m.onnx"), tmp_path / "halves"
    copy = half_copy(model, folder)
    random = np.random.default_rng(0)
    feeds = {
        "target": random.random((1, 3, 128, 128), np.float32),
        "source": random.random((1, 512), np.float32),
    }
    before, after = (open_session(each, CPU).run(None, feeds)[0] for each in (model, copy))
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < 0.02
    made = copy.stat().st_mtime_ns
    assert half_copy(model, folder) == copy
    assert copy.stat().st_mtime_ns == made
    assert [path.name for path in folder.glob("*.part")] == []


def test_another_model_has_a_copy_of_its_own(tmp_path: Path) -> None:
    copies = {
        half_copy(make_painter(tmp_path / f"{seed}.onnx", seed=seed), tmp_path / "halves")
        for seed in (0, 1)
    }
    assert len(copies) == 2


def test_a_folder_that_cannot_be_made_is_an_error_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ModelError, match="--precision tf32"):
        half_copy(make_painter(tmp_path / "m.onnx"), tmp_path / "file" / "halves")


def test_sixteen_bits_are_for_devices_and_not_for_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = SessionSettings(provider="cpu", threads=1, precision=Precision.FP16)
    monkeypatch.setattr("farm.models.session.half_copy", lambda *_: 1 / 0)
    open_session(make_painter(tmp_path / "m.onnx"), half)
    assert half.for_decisions().precision is Precision.TF32
    exact = SessionSettings(provider="cuda", threads=1, precision=Precision.FP32)
    assert exact.for_decisions() is exact
