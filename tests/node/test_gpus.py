from __future__ import annotations

import sys

import pytest

from farm.node.gpus import GpuLoad, NvmlBrokenError, gpu_load, list_gpus
from tests.node.fake_nvml import FakeNvml


def use(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> FakeNvml:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def test_each_gpu_is_listed_with_model_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = use(monkeypatch, FakeNvml(gpus=2))
    first, second = list_gpus()
    assert (first.device, second.device) == (0, 1)
    assert (second.uuid, second.name, second.driver) == ("GPU-1", "NVIDIA Test", "600.1")
    assert (second.memory_bytes, second.free_bytes) == (24 << 30, 20 << 30)
    assert nvml.open == 0


@pytest.mark.parametrize("code", [12, 9])
def test_a_machine_without_a_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    use(monkeypatch, FakeNvml(error=code))
    assert list_gpus() == ()
    assert gpu_load("GPU-0") is None


def test_a_driver_that_is_there_and_broken_is_no_machine_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakeNvml(error=18))
    with pytest.raises(NvmlBrokenError, match="the NVIDIA driver does not answer"):
        list_gpus()
    assert gpu_load("GPU-0") is None


def test_the_load_of_a_gpu_is_asked_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml(gpus=2))
    assert gpu_load("GPU-1") == GpuLoad(used_bytes=4 << 30, utilisation=0.4)
    assert gpu_load("GPU-7") is None


def test_the_real_library_answers_on_this_machine() -> None:
    assert all(gpu.memory_bytes > 0 for gpu in list_gpus())
