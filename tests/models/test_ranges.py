import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from farm.models.ranges import LEVELS, Wanted, best_range, find_ranges
from farm.models.session import SessionSettings

CPU = SessionSettings(provider="cpu", threads=1)


def _error(values: np.ndarray, scale: float, zero: int) -> float:
    told = (np.clip(np.rint(values / scale) + zero, 0, LEVELS) - zero) * scale
    return float(np.mean((told - values) ** 2))


def _doubled() -> ModelProto:
    """A network that doubles what it is given."""
    shape = [1, 2, 300, 300]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_rare_outlier_does_not_widen_the_steps_of_all_others() -> None:
    values = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    values[0] = 9.0
    low, high = float(values.min()), float(values.max())
    found = best_range(values, low, high)
    whole = (high - low) / LEVELS
    clipped = _error(values, found.scale, found.zero)
    assert clipped < 0.8 * _error(values, whole, round(-low / whole))


def test_numbers_of_one_size_keep_their_whole_range() -> None:
    values = np.linspace(0, 1, 10_001, dtype=np.float32)
    found = best_range(values, 0.0, 1.0)
    assert found.zero == 0
    assert found.scale == pytest.approx(1 / LEVELS)


def test_zero_can_always_be_told() -> None:
    values = np.full(100, 5.0, np.float32)
    found = best_range(values, 5.0, 5.0)
    assert found.zero == 0
    assert found.scale == pytest.approx(5 / LEVELS)


def test_ranges_come_from_all_runs_and_leave_the_network_as_it_is() -> None:
    model = _doubled()
    before = model.SerializeToString()
    feeds = [
        {"x": np.linspace(-1, top, 180_000, dtype=np.float32).reshape(1, 2, 300, 300)}
        for top in (1.0, 3.0)
    ]
    found = find_ranges(model, [Wanted(name="y"), Wanted(name="x", positive=True)], feeds, CPU)
    assert found["y"].scale == pytest.approx(8 / LEVELS, rel=0.05)
    assert found["x"].zero == 0
    assert found["x"].scale == pytest.approx(3 / LEVELS, rel=0.05)
    assert model.SerializeToString() == before
