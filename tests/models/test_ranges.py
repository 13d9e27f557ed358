import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from farm.models.ranges import (
    LEVELS,
    Range,
    Steps,
    Wanted,
    best_range,
    find_ranges,
    steps_about_zero,
    steps_between,
    with_spare,
)
from farm.models.session import SessionSettings

CPU = SessionSettings(provider="cpu", threads=1)


def _error(values: NDArray[np.float32], steps: Steps) -> float:
    told = (np.clip(np.rint(values / steps.scales) + steps.zeros, 0, LEVELS) - steps.zeros) * (
        steps.scales
    )
    return float(np.mean((told - values) ** 2))


def _range(low: list[float], high: list[float]) -> Range:
    return Range(low=np.array(low), high=np.array(high))


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
    clipped = _error(values, steps_about_zero(best_range(values, low, high)))
    assert clipped < 0.8 * _error(values, steps_about_zero(_range([low], [high])))


def test_numbers_of_one_size_keep_their_whole_range() -> None:
    values = np.linspace(0, 1, 10_001, dtype=np.float32)
    found = best_range(values, 0.0, 1.0)
    assert (found.low[0], found.high[0]) == (0, 1)


def test_zero_can_always_be_told() -> None:
    found = steps_about_zero(best_range(np.full(100, 5.0, np.float32), 5.0, 5.0))
    assert found.zeros[0] == 0
    assert found.scales[0] == pytest.approx(5 / LEVELS)


def test_a_channel_gets_a_little_more_than_its_own_range() -> None:
    low, high = np.array([-10, -1, 0], np.float32), np.array([10, 1, 2], np.float32)
    found = with_spare(low, high)
    assert found.low.tolist() == [-11, -2, 0]
    assert found.high.tolist() == [11, 2, 3]


def test_steps_reach_from_one_end_of_a_channel_to_the_other() -> None:
    found = _range([-1, 20, 3], [1, 30, 3])
    steps = steps_between(found)
    assert ((0 - steps.zeros) * steps.scales).tolist() == pytest.approx([-1, 20, 3])
    assert ((LEVELS - steps.zeros) * steps.scales).tolist() == pytest.approx([1, 30, 3])


def test_steps_about_zero_share_a_whole_zero_and_reach_every_end() -> None:
    found = _range([-1, -40, 0], [3, 120, 0.5])
    steps = steps_about_zero(found)
    assert set(steps.zeros) == {64.0}
    assert (-steps.zeros * steps.scales <= found.low).all()
    assert ((LEVELS - steps.zeros) * steps.scales >= found.high).all()
    assert steps.scales[1] == pytest.approx(120 / (LEVELS - 64))


@pytest.mark.parametrize(("low", "high", "zero"), [(0.0, 2.0, 0), (-2.0, 0.0, 255), (0.0, 0.0, 0)])
def test_steps_about_zero_spend_none_on_a_side_that_is_empty(
    low: float, high: float, zero: int
) -> None:
    steps = steps_about_zero(_range([low, low], [high, high]))
    assert steps.zeros.tolist() == [zero, zero]
    assert np.isfinite(steps.scales).all()
    assert (steps.scales > 0).all()


def test_ranges_come_from_all_runs_and_leave_the_network_as_it_is() -> None:
    model = _doubled()
    before = model.SerializeToString()
    feeds = [
        {"x": np.linspace(-1, top, 180_000, dtype=np.float32).reshape(1, 2, 300, 300)}
        for top in (1.0, 3.0)
    ]
    found = find_ranges(model, [Wanted(name="y"), Wanted(name="x", positive=True)], feeds, CPU)
    assert (found["y"].low[0], found["y"].high[0]) == pytest.approx((-2, 6), rel=0.05)
    assert (found["x"].low[0], found["x"].high[0]) == pytest.approx((0, 3), rel=0.05)
    by_channel = find_ranges(model, [Wanted(name="y", by_channel=True)], feeds, CPU)["y"]
    assert by_channel.low.tolist() == pytest.approx([-2.4, 0], abs=0.01)
    assert by_channel.high.tolist() == pytest.approx([2.4, 6.4], abs=0.01)
    assert model.SerializeToString() == before
