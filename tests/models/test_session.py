import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import farm
from farm.errors import ModelError, ProviderError, SettingsError
from farm.models.session import (
    SessionSettings,
    available_providers,
    batch_size,
    choose_provider,
    execution_threads,
    open_session,
)
from tests.model_maker import make_enhancer

CPU = SessionSettings(provider="cpu", threads=1)


def test_a_session_runs_on_the_provider_asked_for(tmp_path: Path) -> None:
    session = open_session(make_enhancer(tmp_path / "m.onnx", 32), CPU)
    assert session.get_providers() == ["CPUExecutionProvider"]
    given = np.ones((1, 3, 32, 32), np.float32)
    assert np.array_equal(session.run(None, {"input": given})[0], -given)


def test_a_model_is_opened_from_its_bytes(tmp_path: Path) -> None:
    data = make_enhancer(tmp_path / "m.onnx", 32).read_bytes()
    assert open_session(data, CPU).get_inputs()[0].name == "input"


def test_threads_are_those_of_the_settings(tmp_path: Path) -> None:
    path = make_enhancer(tmp_path / "m.onnx", 32)
    session = open_session(path, SessionSettings(provider="cpu", threads=3))
    assert session.get_session_options().intra_op_num_threads == 3


@pytest.mark.parametrize("data", [b"", b"not a model at all", bytes(200)])
def test_a_damaged_file_is_a_model_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        open_session(path, CPU)


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx"):
        open_session(tmp_path / "gone.onnx", CPU)


def test_a_provider_that_is_not_there_is_an_error_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.models.session.available_providers", lambda: ("cpu",))
    settings = SessionSettings(provider="openvino", threads=1)
    with pytest.raises(ProviderError, match="--execution-provider cpu"):
        open_session(make_enhancer(tmp_path / "m.onnx", 32), settings)


def test_a_session_on_another_provider_than_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_enhancer(tmp_path / "m.onnx", 32)
    monkeypatch.setattr("farm.models.session.available_providers", lambda: ("cuda", "cpu"))
    monkeypatch.setattr(
        "farm.models.session._provider_list", lambda _s: [("CPUExecutionProvider", {})]
    )
    with pytest.raises(ProviderError, match="cuda did not load"):
        open_session(path, SessionSettings(provider="cuda", threads=1))


def test_without_a_wish_a_provider_that_loads_is_chosen() -> None:
    assert choose_provider(None) in available_providers()
    assert choose_provider("CPU") == "cpu"


def test_a_listed_provider_that_does_not_load_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probe(short: str) -> None:
        if short != "cpu":
            raise ProviderError("no device")

    monkeypatch.setattr("farm.models.session.available_providers", lambda: ("cuda", "cpu"))
    monkeypatch.setattr("farm.models.session._probe", probe)
    assert choose_provider(None) == "cpu"
    with pytest.raises(ProviderError, match="no device"):
        choose_provider("cuda")


def test_an_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'cuda'"):
        choose_provider("cudda")
    with pytest.raises(SettingsError, match="cpu"):
        SessionSettings(provider="cpux", threads=1)


@pytest.mark.parametrize(
    ("provider", "cores", "threads"),
    [
        ("cuda", 8, 8),
        ("cuda", 64, 16),
        ("directml", 8, 1),
        ("rocm", 8, 1),
        ("cpu", 2, 4),
        ("cpu", 12, 10),
    ],
)
def test_threads_follow_the_rule_of_the_provider(provider: str, cores: int, threads: int) -> None:
    assert execution_threads(provider, cores) == threads


@pytest.mark.parametrize(
    ("frames", "threads", "size"), [(0, 4, 1), (100, 4, 25), (1000, 4, 32), (5, 0, 5), (3, 8, 1)]
)
def test_batches_hold_up_to_32_frames_of_a_threads_share(
    frames: int, threads: int, size: int
) -> None:
    assert batch_size(frames, threads) == size


def test_onnxruntime_keeps_no_files_for_telemetry(tmp_path: Path) -> None:
    code = "from farm.models.session import choose_provider; choose_provider('cpu')"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    checkout = Path(farm.__path__[0]).parent
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=checkout)
    assert list(tmp_path.iterdir()) == []
