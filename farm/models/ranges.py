"""Which range of numbers 8 bits should stand for, found by running a network on real work.

The whole range from the least to the largest number wastes steps on outliers; clipping these costs
less than it gains. Searched for is the range with the least squared error.
Not for: writing the copy (`farm.models.int8`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.models.session import SessionSettings, open_session
from farm.models.trials import Feeds

LEVELS = 255
_KEPT = np.linspace(0.35, 1.0, 27)
"""Shares of the whole range that are tried."""
_PICKED = 65536
"""Numbers of a tensor that one run gives, at most; at least half as many where there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What the steps of 8 bits stand for: `(step - zero) * scale`."""

    scale: float
    zero: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A tensor of the graph."""

    name: str
    positive: bool = False
    """Whether what is below 0 does not matter."""


def find_ranges(
    model: onnx.ModelProto,
    wanted: Sequence[Wanted],
    feeds: Sequence[Feeds],
    settings: SessionSettings,
) -> dict[str, Range]:
    """The range of each tensor, by name.

    Args:
        model: The network in float; opset 13 or later.
        wanted: Its tensors.
        feeds: What it takes in a job.
        settings: How it runs.
    """
    names = [each.name for each in wanted]
    with tempfile.TemporaryDirectory(prefix="facefarm-ranges-") as folder:
        path = Path(folder) / "telling.onnx"
        onnx.save(_telling(model, names), str(path))
        session = open_session(path, settings)
        told = [session.run(_outputs(names), dict(feed)) for feed in feeds]
    found = {}
    for i, each in enumerate(wanted):
        low = min(float(run[3 * i]) for run in told)
        high = max(float(run[3 * i + 1]) for run in told)
        picked = np.concatenate([run[3 * i + 2] for run in told])
        if each.positive:
            low, picked = 0.0, np.maximum(picked, 0)
        found[each.name] = best_range(picked, low, high)
    return found


def best_range(values: NDArray[np.float32], low: float, high: float) -> Range:
    """The range with the least squared error.

    Args:
        values: [n] of those that are to be told.
        low: The least that was seen, of all.
        high: The largest.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    tried = [_range(low * share, high * share) for share in _KEPT]
    return min(tried, key=lambda each: _error(values, each))


def _range(low: float, high: float) -> Range:
    scale = max((high - low) / LEVELS, 1e-12)
    return Range(scale=scale, zero=int(np.clip(round(-low / scale), 0, LEVELS)))


def _error(values: NDArray[np.float32], steps: Range) -> float:
    """Mean squared error of numbers told in these steps."""
    taken = np.clip(np.rint(values / np.float32(steps.scale)) + steps.zero, 0, LEVELS)
    return float(np.mean(((taken - steps.zero) * np.float32(steps.scale) - values) ** 2))


def _outputs(names: Sequence[str]) -> list[str]:
    """Names of the least, the largest and some numbers of each tensor."""
    return [f"{name}/{what}" for name in names for what in ("low", "high", "picked")]


def _telling(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The network that also says of each tensor its bounds, and every n-th of its numbers.

    n is odd: sides of pictures are even, so that the numbers come from all columns.
    """
    telling = onnx.ModelProto()
    telling.CopyFrom(model)
    graph = telling.graph
    constants: Mapping[str, NDArray[np.int64]] = {
        "ranges/flat": np.array([-1], np.int64),
        "ranges/most": np.array([_PICKED], np.int64),
        "ranges/one": np.array([1], np.int64),
        "ranges/two": np.array([2], np.int64),
        "ranges/start": np.array([0], np.int64),
        "ranges/stop": np.array([np.iinfo(np.int64).max], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    for name in names:
        low, high, picked = _outputs([name])
        flat, size, often, step = (f"{name}/{each}" for each in ("flat", "size", "often", "step"))
        graph.node.extend(
            [
                helper.make_node("ReduceMin", [name], [low], keepdims=0),
                helper.make_node("ReduceMax", [name], [high], keepdims=0),
                helper.make_node("Reshape", [name, "ranges/flat"], [flat]),
                helper.make_node("Shape", [flat], [size]),
                helper.make_node("Div", [size, "ranges/most"], [f"{name}/share"]),
                helper.make_node("Mul", [f"{name}/share", "ranges/two"], [often]),
                helper.make_node("Add", [often, "ranges/one"], [step]),
                helper.make_node(
                    "Slice",
                    [flat, "ranges/start", "ranges/stop", "ranges/start", step],
                    [picked],
                ),
            ]
        )
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _outputs(names)
    )
    return telling
