from __future__ import annotations

from typing import Any

import pytest

from farm.environment import installed_version
from farm.errors import ProviderError, SetupError
from farm.node import examine
from farm.node.examine import decisive_versions, examine_node, visible
from farm.node.facts import GpuFacts, Questions, Trial
from farm.node.gpus import NvmlBrokenError
from tests.scheduler.offers import gpu

CPU = Questions(providers=("cpu",), encoders=("libx264", "no_such_encoder"))


def test_this_machine_can_render_and_what_is_not_there_fails_its_trial() -> None:
    facts = examine_node(CPU)
    assert (facts.problem, facts.working_providers, facts.ffmpeg.works) == ("", ("cpu",), True)
    assert facts.cores >= 1
    assert facts.memory_bytes > 1 << 28
    assert facts.encoder("libx264").works
    assert facts.encoder("no_such_encoder").problem == "not built into PyAV"
    assert facts.encoder("libx265").problem == "was not tried"


def test_a_provider_that_is_not_built_in_fails_its_trial() -> None:
    (trial,) = examine_node(Questions(providers=("directml",), encoders=())).providers
    assert "the installed onnxruntime has only" in trial.problem


def test_a_library_that_cannot_be_loaded_ends_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_NEEDED", ("no_such_library",))
    facts = examine_node(CPU)
    assert "no_such_library" in facts.problem
    assert facts.providers == ()


def test_a_broken_ffmpeg_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise SetupError("ffmpeg does not start")

    monkeypatch.setattr("farm.media.ffmpeg.find_ffmpeg", broken)
    facts = examine_node(CPU)
    assert (facts.problem, facts.ffmpeg.problem) == ("", "ffmpeg does not start")


def test_a_broken_driver_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[GpuFacts, ...]:
        raise NvmlBrokenError("the NVIDIA driver does not answer")

    monkeypatch.setattr(examine, "list_gpus", broken)
    facts = examine_node(CPU)
    assert (facts.gpus, facts.gpu_problem) == ((), "the NVIDIA driver does not answer")
    assert facts.working_providers == ("cpu",)


def test_each_device_is_tried_and_one_that_is_broken_does_not_spoil_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[tuple[str, int]] = []

    def attempt(name: str, device: int) -> None:
        tried.append((name, device))
        if device == 1:
            raise ProviderError("no kernel runs")

    monkeypatch.setattr(examine, "list_gpus", lambda: (gpu(0), gpu(1)))
    monkeypatch.setattr("farm.models.session.try_provider", attempt)
    facts = examine_node(Questions(providers=("cuda", "cpu"), encoders=()))
    assert tried == [("cuda", 0), ("cuda", 1), ("cpu", 0)]
    assert facts.working_providers == ("cuda", "cpu")
    assert [each.device for each in facts.sound_gpus("cuda")] == [0]
    assert facts.gpus[1].trials == (Trial(name="cuda", problem="no kernel runs"),)


@pytest.mark.parametrize(
    ("said", "seen"),
    [(None, [0, 1, 2]), ("2,0", [2, 0]), ("GPU-1", [1]), ("", []), ("0,9,1", [0])],
)
def test_only_the_gpus_count_that_this_process_may_see(said: str | None, seen: list[int]) -> None:
    assert [each.device for each in visible((gpu(0), gpu(1), gpu(2)), said)] == seen


def test_decisive_versions_name_libraries_not_their_variants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have: dict[str, Any] = {"onnxruntime-gpu": "1.31.1", "opencv-python-headless": "4.14"}
    monkeypatch.setattr(examine, "installed_version", have.get)
    versions = decisive_versions()
    assert (versions["onnxruntime"], versions["opencv"]) == ("1.31.1", "4.14")
    assert "av" not in versions
    assert installed_version("av") is not None
