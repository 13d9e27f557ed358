"""Which numbers the steps of 8 bits stand for, found by running a network.

Channels of one tensor differ in range by far more than one range for all of them serves well, but
ranges of their own cost time, and fit the faces of the calibration closer: they pay where each
number that is computed is a long sum. They are whole, and a little more. In a range for a
whole tensor, that from the least to the largest number wastes steps on outliers; clipping these
costs less than it gains, and the range with the least squared error is searched for.
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
_LEAST = 1e-12
"""The smallest scale."""
_SPARE = 0.05
"""Of the widest range of a tensor's channels, left free at both ends of each channel's own."""
_KEPT = np.linspace(0.35, 1.0, 27)
"""Shares of a tensor's whole range that are tried."""
_PICKED = 65536
"""Numbers of a tensor that one run gives, at most; at least half as many where there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The least and the largest number that are to be told: of each channel, or one of all."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps 0..255 stand for: `(step - zero) * scale`; of each channel, or one of all."""

    scales: NDArray[np.float64]
    zeros: NDArray[np.float64]

    @property
    def by_channel(self) -> bool:
        """Whether channels have steps of their own."""
        return len(self.scales) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A tensor of the graph, [1, channels, ...]."""

    name: str
    positive: bool = False
    """Whether what is below 0 does not matter."""
    by_channel: bool = False
    """Whether each channel is to have its own range."""


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
        feeds: What it takes in a job, one item at a time.
        settings: How it runs.
    """
    names = [each.name for each in wanted]
    with tempfile.TemporaryDirectory(prefix="facefarm-ranges-") as folder:
        path = Path(folder) / "telling.onnx"
        onnx.save(_telling(model, names), str(path))
        session = open_session(path, settings)
        told = [session.run(_outputs(names), dict(feed)) for feed in feeds]
    return {each.name: _range(each, told, i) for i, each in enumerate(wanted)}


def _range(wanted: Wanted, told: Sequence[Sequence[NDArray[np.float32]]], number: int) -> Range:
    """The range of one tensor, from what each run told of it."""
    low = -np.max([run[3 * number].ravel() for run in told], axis=0)
    high = np.max([run[3 * number + 1].ravel() for run in told], axis=0)
    picked = np.concatenate([run[3 * number + 2] for run in told])
    if wanted.positive:
        low, high, picked = (np.maximum(each, 0) for each in (low, high, picked))
    if wanted.by_channel:
        return with_spare(low, high)
    return best_range(picked, float(low.min()), float(high.max()))


def with_spare(low: NDArray[np.float32], high: NDArray[np.float32]) -> Range:
    """The range of each channel, with room for faces that differ from those of the calibration.

    Args:
        low: [channels], the least that was seen; what is never below 0 is not given room there.
        high: [channels], the largest.
    """
    spare = float(high.max() - low.min()) * _SPARE
    lower = np.where(low >= 0, np.maximum(low - spare, 0), low - spare)
    upper = np.where(high <= 0, np.minimum(high + spare, 0), high + spare)
    return Range(low=lower.astype(np.float64), high=upper.astype(np.float64))


def best_range(values: NDArray[np.float32], low: float, high: float) -> Range:
    """The range for a whole tensor with the least squared error.

    Args:
        values: [n] of those that are to be told.
        low: The least that was seen, of all.
        high: The largest.
    """
    whole = np.array([min(low, 0.0)]), np.array([max(high, 0.0)])
    tried = [Range(low=whole[0] * share, high=whole[1] * share) for share in _KEPT]
    return min(tried, key=lambda each: _error(values, steps_about_zero(each)))


def steps_between(found: Range) -> Steps:
    """Steps from the low to the high end of each channel."""
    scales = np.maximum((found.high - found.low) / LEVELS, _LEAST)
    middle = (found.low + found.high) / 2
    return Steps(scales=scales, zeros=LEVELS / 2 - middle / scales)


def steps_about_zero(found: Range) -> Steps:
    """Steps whose zero is the same whole one for all channels, as what pads a picture must be.

    Of all such zeros, the one with the least sum of squared scales, which errors follow.
    """
    low, high = np.minimum(found.low, 0), np.maximum(found.high, 0)
    zeros = np.arange(LEVELS + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = np.nan_to_num([-low / zeros, high / (LEVELS - zeros)], posinf=np.inf)
    scales = np.maximum(below, above)
    best = int((scales**2).sum(axis=1).argmin())
    scales_there = np.maximum(scales[best], _LEAST)
    return Steps(scales=scales_there, zeros=np.full(len(scales_there), float(best)))


def _error(values: NDArray[np.float32], steps: Steps) -> float:
    """Mean squared error of numbers told in these steps."""
    scale, zero = np.float32(steps.scales[0]), np.float32(steps.zeros[0])
    taken = np.clip(np.rint(values / scale) + zero, 0, LEVELS)
    return float(np.mean(((taken - zero) * scale - values) ** 2))


def _outputs(names: Sequence[str]) -> list[str]:
    """Names of the least (negative), the largest and some numbers of each tensor."""
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
        graph.node.extend(_told(name))
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _outputs(names)
    )
    return telling


def _told(name: str) -> list[onnx.NodeProto]:
    """The nodes that tell of one tensor."""
    low, high, picked = _outputs([name])
    turned, flat, size, share, often, step = (
        f"{name}/{each}" for each in ("turned", "flat", "size", "share", "often", "step")
    )
    cut = [flat, "ranges/start", "ranges/stop", "ranges/start", step]
    return [
        helper.make_node("Neg", [name], [turned]),
        helper.make_node("GlobalMaxPool", [turned], [low]),
        helper.make_node("GlobalMaxPool", [name], [high]),
        helper.make_node("Reshape", [name, "ranges/flat"], [flat]),
        helper.make_node("Size", [name], [size]),
        helper.make_node("Div", [size, "ranges/most"], [share]),
        helper.make_node("Mul", [share, "ranges/two"], [often]),
        helper.make_node("Add", [often, "ranges/one"], [step]),
        helper.make_node("Slice", cut, [picked]),
    ]
