from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import ProviderError
from farm.models.device_session import Buffers, DeviceSession, is_out_of_memory
from farm.models.session import SessionSettings, on_device, open_session
from tests.model_maker import make_enhancer, make_painter

CPU = SessionSettings(provider="cpu", threads=1)
BFC = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv "
    "node. Name:'n0' Status Message: bfc_arena.cc:376 void* "
    "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for "
    "requested buffer of size 1073741824"
)


class Device:
    """A session of a graph with an open batch that has room for so many items."""

    def __init__(self, room: int, error: Exception | None = None, first: int | str = "n") -> None:
        self.room, self.error, self.sizes = room, error or RuntimeError(BFC), list[int]()
        self._told = [SimpleNamespace(name="x", shape=[first, 2])]

    def get_inputs(self) -> list[Any]:
        return self._told

    def get_outputs(self) -> list[Any]:
        return self._told

    def run(self, _names: object, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.sizes.append(len(feeds["x"]))
        if len(feeds["x"]) > self.room:
            raise self.error
        return [feeds["x"] * 2]


def items(count: int) -> dict[str, NDArray[np.float32]]:
    return {"x": np.arange(count * 2, dtype=np.float32).reshape(count, 2)}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_every_run_has_the_same_size_and_what_was_filled_up_is_cut_off(count: int) -> None:
    device = Device(room=4)
    (given,) = DeviceSession(device, batch=4).run(None, items(count))
    assert set(device.sizes) == {4}
    assert np.array_equal(given, items(count)["x"] * 2)


def test_short_memory_halves_the_batch_goes_on_and_says_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = Device(room=3)
    session = DeviceSession(device, batch=16)
    with caplog.at_level(logging.WARNING):
        (given,) = session.run(None, items(5))
    assert np.array_equal(given, items(5)["x"] * 2)
    assert device.sizes == [16, 8, 4, 2, 2, 2]
    assert session.batch == 2
    assert next(r.getMessage() for r in caplog.records) == (
        "the device has no memory for 16 pictures at once: going on with 8"
    )
    session.run(None, items(2))
    assert device.sizes[6:] == [2]


def test_no_memory_for_one_picture_is_an_error_with_its_fix() -> None:
    with pytest.raises(ProviderError, match="--execution-provider cpu"):
        DeviceSession(Device(room=0), batch=8).run(None, items(1))


def test_another_error_of_a_run_is_not_taken_for_short_memory() -> None:
    device = Device(room=0, error=RuntimeError("CUDA failure 700: illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        DeviceSession(device, batch=8).run(None, items(1))
    assert device.sizes == [8]


def test_a_graph_of_a_fixed_batch_gets_what_it_is_given() -> None:
    device = Device(room=9, first=1)
    DeviceSession(device, batch=8).run(None, items(3))
    assert device.sizes == [3]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(BFC),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
        RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
)
def test_the_ways_to_say_that_memory_is_short_are_known(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_bound_buffers_give_what_a_plain_run_gives(tmp_path: Path) -> None:
    plain = open_session(make_painter(tmp_path / "m.onnx"), CPU)
    session = DeviceSession(plain, batch=3, bound=Buffers(plain, "cpu", 0))
    random = np.random.default_rng(0)
    for count in (2, 3, 5):
        feeds = {
            "target": random.random((count, 3, 128, 128), np.float32),
            "source": random.random((count, 512), np.float32),
        }
        assert np.array_equal(session.run(None, feeds)[0], plain.run(None, feeds)[0])


def test_results_of_bound_buffers_are_not_overwritten_by_the_next_run(tmp_path: Path) -> None:
    plain = open_session(make_enhancer(tmp_path / "m.onnx", 32), CPU)
    session = DeviceSession(plain, batch=1, bound=Buffers(plain, "cpu", 0))
    pictures = [np.full((1, 3, 32, 32), value, np.float32) for value in (1, 2, 3)]
    given = [session.run(None, {"input": each})[0] for each in pictures]
    assert [float(each.mean()) for each in given] == [-1, -2, -3]


def test_a_session_on_a_device_has_the_batch_of_its_settings(tmp_path: Path) -> None:
    plain = open_session(make_painter(tmp_path / "m.onnx"), CPU)
    session = on_device(plain, SessionSettings(provider="cuda", threads=1, batch=6))
    assert session.batch == 6
    assert session.get_inputs()[0].name == "target"
    assert session.get_providers() == ["CPUExecutionProvider"]
