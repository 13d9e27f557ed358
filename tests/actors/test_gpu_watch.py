from __future__ import annotations

import threading

import pytest

from actors.gpu_watch import GpuUse, GpuWatch
from farm.node.gpus import GpuLoad


def test_the_gpu_whose_memory_grew_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.gpu_watch._INTERVAL_S", 0.001)
    sampled, calls = threading.Event(), {"a": 0, "b": 0}

    def load(uuid: str) -> GpuLoad:
        calls[uuid] += 1
        if calls["b"] > 5:
            sampled.set()
        grown = 50 if uuid == "b" and calls["b"] > 1 else 0
        return GpuLoad(used_bytes=100 + grown, utilisation=0.25 if uuid == "b" else 0.9)

    watch = GpuWatch(["a", "b"], load)
    watch.begin()
    assert sampled.wait(30)
    assert watch.end() == GpuUse(memory_bytes=50, utilisation=0.25)


def test_a_gpu_that_cannot_be_asked_counts_as_busy() -> None:
    watch = GpuWatch(["a"], lambda _uuid: None)
    watch.begin()
    assert watch.end() == GpuUse(memory_bytes=0, utilisation=1.0)
