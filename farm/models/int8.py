"""Writing a model in int8, with scales that are fixed by calibration.

Convolutions take and give 8 bits; all else stays float. Weights have a scale for each output
channel; what goes in and comes out has one for each channel where a convolution sums over many
numbers, and one for the whole tensor elsewhere. All are constants: scales that are found while the
network runs would make what a face looks like depend on the other faces of its batch.
Not for: the search for ranges (`farm.models.ranges`), or whether the result is good enough
(`farm.models.optimize`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError
from farm.models.int8_source import groups_of, inner_convolutions, read_for_int8, without_nodes
from farm.models.ranges import (
    Range,
    Steps,
    Wanted,
    find_ranges,
    steps_about_zero,
    steps_between,
)
from farm.models.session import SessionSettings
from farm.models.trials import Feeds

_LONG_SUM = 1024
"""Of as many products and more a number is summed where channels have scales of their own.

Their time (three passes over floats) is little beside such sums. Small convolutions take twice as
long with them, and small networks, fitted so closely to the faces of the calibration, miss others.
"""
_MOST_WEIGHT = 127
_MOST_BIAS = 2**30
"""Of the 32 bits that a convolution sums in; half are left for the sums."""


@dataclass(slots=True, kw_only=True)
class Int8Source:
    """A network that is ready to be copied, with the ranges of its tensors."""

    path: Path
    """The source, for messages."""
    model: onnx.ModelProto
    inner: list[str]
    """Outputs of the convolutions that may change, in their order."""
    ranges: dict[str, Range]


def prepare_int8(source: Path, feeds: Sequence[Feeds], threads: int = 1) -> Int8Source:
    """Read a network and find the ranges of what its inner convolutions take and give.

    Args:
        source: The model, with weights as float32.
        feeds: What the network takes in a job.
        threads: Of the calibration.

    Raises:
        ModelError: The graph has no convolution to convert, or cannot be read or run.
    """
    try:
        model = read_for_int8(source)
        inner = inner_convolutions(model)
        if not inner:
            raise ModelError(f"{source} has 0 convolutions that int8 could speed up")
        settings = SessionSettings(provider="cpu", threads=threads)
        ranges = find_ranges(model, _tensors(model, inner), feeds, settings)
    except ModelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source} cannot be prepared for int8: {reason}") from error
    outputs = [node.output[0] for node in inner]
    return Int8Source(path=source, model=model, inner=outputs, ranges=ranges)


def write_int8(source: Int8Source, target: Path, *, float_first: int) -> None:
    """Write the copy, which takes one item at a time.

    Args:
        source: What `prepare_int8` returned; stays as it is.
        target: Where the copy goes.
        float_first: How many of the inner convolutions, from the input on, stay float too.

    Raises:
        ModelError: No convolution is left to convert.
    """
    chosen = set(source.inner[float_first:])
    if not chosen:
        raise ModelError(
            f"{source.path} has {len(source.inner)} convolutions that int8 could speed up"
        )
    writer = _Writer(source)
    nodes = [
        new
        for node in source.model.graph.node
        for new in (writer.written(node) if node.output[0] in chosen else [node])
    ]
    replaced = {node.input[1] for node in source.model.graph.node if node.output[0] in chosen}
    replaced -= {name for node in nodes for name in node.input}
    copy = without_nodes(source.model)
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(
        each for each in source.model.graph.initializer if each.name not in replaced
    )
    copy.graph.initializer.extend(writer.constants.values())
    onnx.save(copy, str(target))


@dataclass(slots=True)
class _Writer:
    """Turns convolutions into their int8 kind."""

    source: Int8Source
    constants: dict[str, TensorProto] = field(default_factory=dict)
    _told: dict[str, Steps] = field(default_factory=dict)
    """Tensors that are there in 8 bits."""
    _weights: dict[str, TensorProto] = field(init=False)

    def __post_init__(self) -> None:
        self._weights = {each.name: each for each in self.source.model.graph.initializer}

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes that take the place of a convolution.

        Scales and zeros of what goes in and comes out are part of the weights and the bias: the
        convolution itself computes with steps.
        """
        x, y = node.input[0], node.output[0]
        if x not in self._told:
            self._told[x] = steps_about_zero(self.source.ranges[x])
            yield from self._take(x, self._told[x])
        taken, given = self._told[x], _given_steps(self.source.ranges[y])
        weights = in_steps(self._value(node.input[1]), taken.scales, groups_of(node))
        bias = given.zeros * given.scales + np.zeros(len(weights))
        if len(node.input) > 2 and node.input[2]:
            bias += self._value(node.input[2])
        steps, scales = channel_steps(weights, np.abs(bias))
        told = helper.make_node(
            "QLinearConv",
            [
                f"{x}/int8",
                *self._ends(1, taken.zeros[0]),
                self._constant(f"{y}/weights", steps),
                self._constant(f"{y}/weight-scales", (scales / given.scales).astype(np.float32)),
                self._constant(f"{y}/weight-zeros", np.zeros(len(weights), np.int8)),
                *self._ends(1, 0),
                self._constant(f"{y}/bias", np.rint(bias / scales).astype(np.int32)),
            ],
            [f"{y}/sum"],
        )
        told.attribute.extend(node.attribute)
        yield told
        yield from self._give(y, given)

    def _take(self, x: str, steps: Steps) -> Iterator[onnx.NodeProto]:
        """The nodes that turn a tensor into 8 bits.

        Nodes for 8 bits with a scale for each channel are slow, or get joined into nodes that
        refuse them: float nodes multiply in their place.
        """
        if not steps.by_channel:
            ends = self._ends(steps.scales[0], steps.zeros[0])
            yield helper.make_node("QuantizeLinear", [x, *ends], [f"{x}/int8"])
            return
        scaled = self._by_channel(f"{x}/in-steps", 1 / steps.scales)
        yield helper.make_node("Mul", [x, scaled], [f"{x}/steps"])
        ends = self._ends(1, steps.zeros[0])
        yield helper.make_node("QuantizeLinear", [f"{x}/steps", *ends], [f"{x}/int8"])

    def _give(self, y: str, steps: Steps) -> Iterator[onnx.NodeProto]:
        """The nodes that turn what a convolution gives into floats."""
        if not steps.by_channel:
            ends = self._ends(steps.scales[0], steps.zeros[0])
            yield helper.make_node("DequantizeLinear", [f"{y}/sum", *ends], [y])
            return
        yield helper.make_node("DequantizeLinear", [f"{y}/sum", *self._ends(1, 0)], [f"{y}/steps"])
        scales = self._by_channel(f"{y}/scales", steps.scales)
        yield helper.make_node("Mul", [f"{y}/steps", scales], [f"{y}/scaled"])
        lows = self._by_channel(f"{y}/lows", -steps.zeros * steps.scales)
        yield helper.make_node("Add", [f"{y}/scaled", lows], [y])

    def _ends(self, scale: float, zero: float) -> tuple[str, str]:
        """Names of one scale and one zero."""
        return (
            self._constant(f"int8/scale-{scale:.9g}", np.float32(scale)),
            self._constant(f"int8/zero-{zero:.0f}", np.uint8(zero)),
        )

    def _value(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self._weights[name])

    def _by_channel(self, name: str, values: NDArray[np.float64]) -> str:
        return self._constant(name, values.astype(np.float32).reshape(1, -1, 1, 1))

    def _constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name


def in_steps(
    weights: NDArray[np.float32], scales: NDArray[np.float64], groups: int
) -> NDArray[np.float64]:
    """Weights [out, in by group, ...] for inputs in steps of `scales` [in] or [1]."""
    by_group = np.broadcast_to(scales, weights.shape[1] * groups).reshape(groups, -1)
    by_output = np.repeat(by_group, len(weights) // groups, axis=0)
    return weights * by_output.reshape(*weights.shape[:2], *[1] * (weights.ndim - 2))


def channel_steps(
    weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Weights [out, ...] in steps of 8 bits, and the scale [out] of each output channel.

    Args:
        weights: To be told.
        bias: [out], at least 0; told in the same steps, in 32 bits.
    """
    most = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scales = np.maximum(np.maximum(most / _MOST_WEIGHT, bias / _MOST_BIAS), 1e-12)
    steps = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1)))
    return steps.astype(np.int8), scales


def _given_steps(found: Range) -> Steps:
    """Steps of what a convolution gives; the zero of a whole tensor's is a step, too."""
    return steps_between(found) if len(found.low) > 1 else steps_about_zero(found)


def _tensors(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[Wanted]:
    """What the convolutions take and give, each once."""
    users: dict[str, set[str]] = {each.name: {""} for each in model.graph.output}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    sums = {each.name: int(np.prod(each.dims[1:])) for each in model.graph.initializer}
    wanted = {
        node.output[0]: Wanted(
            name=node.output[0],
            positive=users.get(node.output[0]) == {"Relu"},
            by_channel=sums[node.input[1]] >= _LONG_SUM,
        )
        for node in nodes
    }
    for name in dict.fromkeys(node.input[0] for node in nodes):
        takers = [sums[node.input[1]] for node in nodes if node.input[0] == name]
        wanted.setdefault(name, Wanted(name=name, by_channel=min(takers) >= _LONG_SUM))
    return list(wanted.values())
