"""Writing a model in int8, with scales that are fixed by calibration.

Convolutions take and give 8 bits: the scale of what goes in and comes out is one constant for each
tensor, that of weights one for each output channel. All else stays float. Scales that are found
while the network runs would make what a face looks like depend on the other faces of its batch.
Not for: the search for ranges (`farm.models.ranges`), or whether the result is good enough
(`farm.models.optimize`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError
from farm.models.ranges import Range, Wanted, find_ranges
from farm.models.session import SessionSettings
from farm.models.trials import Feeds

_PICTURE_CHANNELS = 4
_SCALES_OPSET = 13
"""The first that has scales for each channel."""
_MOST_WEIGHT = 127
_LIGHT = 1024
"""Weights of more numbers are left out of what is looked at for the shapes of tensors."""
_PLANE_AXES = ([2, 3], [-2, -1])


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

    The convolutions next to the picture (4 channels or fewer) stay as they are: they cost little,
    and their error shows most.

    Args:
        source: The model, with weights as float32.
        feeds: What the network takes in a job.
        threads: Of the calibration.

    Raises:
        ModelError: The graph has no convolution to convert, or cannot be read or run.
    """
    try:
        model = onnx.load(str(source))
        if next(each.version for each in model.opset_import if not each.domain) < _SCALES_OPSET:
            kept = _unused(model)
            model = onnx.version_converter.convert_version(model, _SCALES_OPSET)
            _put_back(model, kept)
        _take_one_at_a_time(model)
        _average_planes(model)
        inner = _inner_convolutions(model)
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
    copy = onnx.ModelProto()
    copy.CopyFrom(_without_weights(source.model))
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
    _told: set[str] = field(default_factory=set)
    """Tensors that are there in 8 bits."""
    _weights: dict[str, TensorProto] = field(init=False)

    def __post_init__(self) -> None:
        self._weights = {each.name: each for each in self.source.model.graph.initializer}

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes that take the place of a convolution."""
        x, y = node.input[0], node.output[0]
        taken, given = self.source.ranges[x], self.source.ranges[y]
        x_steps, y_steps = self._steps(x, taken), self._steps(y, given)
        if x not in self._told:
            self._told.add(x)
            yield helper.make_node("QuantizeLinear", [x, *x_steps], [f"{x}/int8"])
        weights = numpy_helper.to_array(self._weights[node.input[1]])
        steps, scales = channel_steps(weights)
        bias = np.zeros(len(weights), np.float32)
        if len(node.input) > 2 and node.input[2]:
            bias = numpy_helper.to_array(self._weights[node.input[2]])
        sums = np.rint(bias / (taken.scale * scales.astype(np.float64)))
        whole = np.clip(sums, np.iinfo(np.int32).min, np.iinfo(np.int32).max)
        told = helper.make_node(
            "QLinearConv",
            [
                f"{x}/int8",
                *x_steps,
                self._constant(f"{y}/weights", steps),
                self._constant(f"{y}/weight-scales", scales),
                self._constant(f"{y}/weight-zeros", np.zeros(len(weights), np.int8)),
                *y_steps,
                self._constant(f"{y}/bias", whole.astype(np.int32)),
            ],
            [f"{y}/sum"],
        )
        told.attribute.extend(node.attribute)
        yield told
        yield helper.make_node("DequantizeLinear", [f"{y}/sum", *y_steps], [y])

    def _steps(self, tensor: str, steps: Range) -> tuple[str, str]:
        """Names of a tensor's scale and zero."""
        scale = self._constant(f"{tensor}/scale", np.array(steps.scale, np.float32))
        return scale, self._constant(f"{tensor}/zero", np.array(steps.zero, np.uint8))

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(values, name)
        return name


def channel_steps(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [out, ...] in steps of 8 bits, and the scale [out] of each output channel."""
    rows = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scales = np.maximum(rows / _MOST_WEIGHT, 1e-12).astype(np.float32)
    steps = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1)))
    return np.clip(steps, -_MOST_WEIGHT, _MOST_WEIGHT).astype(np.int8), scales


def _tensors(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[Wanted]:
    """What the convolutions take and give, each once."""
    users: dict[str, set[str]] = {each.name: {""} for each in model.graph.output}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    given = [
        Wanted(name=node.output[0], positive=users.get(node.output[0]) == {"Relu"})
        for node in nodes
    ]
    names = {each.name for each in given}
    taken = dict.fromkeys(node.input[0] for node in nodes if node.input[0] not in names)
    return [*given, *(Wanted(name=name) for name in taken)]


def _inner_convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The convolutions of fixed weights that are not next to the picture, in order."""
    shapes = {each.name: list(each.dims) for each in model.graph.initializer}
    inner = []
    for node in model.graph.node:
        shape = shapes.get(node.input[1]) if node.op_type == "Conv" else None
        fixed = len(node.input) < 3 or not node.input[2] or node.input[2] in shapes
        groups = next((int(a.i) for a in node.attribute if a.name == "group"), 1)
        if shape and fixed and min(shape[0], shape[1] * groups) > _PICTURE_CHANNELS:
            inner.append(node)
    return inner


def _take_one_at_a_time(model: onnx.ModelProto) -> None:
    """Fix the batch at one.

    Float sums round otherwise in batches of another size. In float nobody sees it; here a value
    that lies between two steps of 8 bits takes the other one, and a face would change with the
    chunk's last, smaller batch.
    """
    weights = {each.name for each in model.graph.initializer}
    taken = [each for each in model.graph.input if each.name not in weights]
    firsts = [each.type.tensor_type.shape.dim[0] for each in taken]
    names = {dim.dim_param for dim in firsts if dim.dim_param}
    for given in model.graph.output:
        firsts += [d for d in given.type.tensor_type.shape.dim[:1] if d.dim_param in names]
    for dim in firsts:
        dim.dim_value = 1
    del model.graph.value_info[:]


def _average_planes(model: onnx.ModelProto) -> None:
    """Take the means over height and width by the node that is made for it.

    onnxruntime lays tensors between int8 convolutions out by pixel. A general mean over such planes
    takes 15 times as long, an eighth of a swap network's time; this node makes it turn them back.
    """
    means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    pictures = _pictures(model) if means else set()
    constants = {each.name: each for each in model.graph.initializer}
    for node in means:
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        axes = told.get("axes")
        if len(node.input) > 1 and node.input[1] in constants:
            axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
        plane = list(axes or ()) in _PLANE_AXES and told.get("keepdims", 1)
        if plane and node.input[0] in pictures:
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
            del node.input[1:]


def _pictures(model: onnx.ModelProto) -> set[str]:
    """Names of the tensors that are known to have four lengths."""
    light = _without_weights(model)
    light.graph.node.extend(model.graph.node)
    for each in model.graph.initializer:
        if int(np.prod(each.dims)) <= _LIGHT:
            light.graph.initializer.append(each)
        else:
            known = helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
            light.graph.input.append(known)
    shaped = onnx.shape_inference.infer_shapes(light).graph
    infos = [*shaped.value_info, *shaped.input, *shaped.output]
    return {each.name for each in infos if len(each.type.tensor_type.shape.dim) == 4}


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without nodes and weights: what it takes and gives, and what is said of it."""
    bare = onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.metadata_props.extend(model.metadata_props)
    bare.graph.name = model.graph.name
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    return bare


def _unused(model: onnx.ModelProto) -> list[TensorProto]:
    """Weights that no node uses; the swap network keeps a matrix so."""
    used = {name for node in model.graph.node for name in node.input}
    found = []
    for each in model.graph.initializer:
        if each.name not in used:
            copy = TensorProto()
            copy.CopyFrom(each)
            found.append(copy)
    return found


def _put_back(model: onnx.ModelProto, tensors: Sequence[TensorProto]) -> None:
    """Add weights that were lost."""
    there = {each.name for each in model.graph.initializer}
    model.graph.initializer.extend(each for each in tensors if each.name not in there)
