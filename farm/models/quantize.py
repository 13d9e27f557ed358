"""Writing a model with fewer bits: fp16, or int8 with scales that are fixed by calibration.

int8 is static: scales of activations are constants of the graph, one for each tensor, those of
weights one for each channel. Scales that are found while the network runs would make what a face
looks like depend on the other faces of its batch; graphs that do so are refused.
Not for: whether the result is good enough (`farm.models.optimize`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.models.trials import Feeds

_PICTURE_CHANNELS = 4
_BATCH_TOLERANCE = 1e-3
"""Of the output's range."""
_SCALES_OPSET = 13
"""The first that has scales for each channel."""
_ERRORS_ONLY, _WARNINGS_TOO = 3, 2
_LOUD = 20.0
"""How many times the values of its companion in a batch exceed an item's own."""


_TOOLS = ("onnxruntime.transformers.float16", "onnxruntime.quantization")


def write_fp16(source: Path, target: Path) -> None:
    """Write `source` with 16-bit weights and sums; what it takes and gives stays 32 bits.

    Raises:
        ModelError: The graph cannot be converted.
    """
    float16 = _tool("onnxruntime.transformers.float16")
    try:
        model = onnx.load(str(source))
        unused = _unused(model)
        model = float16.convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise ModelError(f"{source} cannot be converted to fp16: {error}") from error
    _keep(model, unused)
    onnx.save(model, str(target))


def write_int8(
    source: Path, target: Path, feeds: Sequence[Feeds], *, float_first: int, cache: Path
) -> None:
    """Write `source` with its inner convolutions in int8; the copy takes one item at a time.

    The convolutions next to the picture (4 channels or fewer) stay as they are: they cost little,
    and their error shows most.

    Args:
        source: The model, with weights as float32.
        target: Where the copy goes.
        feeds: What the network takes in a job, to find the range of its activations.
        float_first: How many of the inner convolutions, from the input on, stay float too.
        cache: JSON file that keeps ranges between calls for the same source and feeds.

    Raises:
        ModelError: The graph has no convolution to convert, or cannot be converted.
    """
    tools = _tool("onnxruntime.quantization")
    prepared = cache.with_suffix(".onnx")
    unused, outer, inner = _prepare(source, prepared)
    if len(inner) <= float_first:
        raise ModelError(f"{source} has {len(inner)} convolutions that int8 could speed up")
    offered = inspect.signature(tools.quantize_static).parameters
    kept = {"calibration_cache_path": cache} if "calibration_cache_path" in offered else {}
    try:
        with _quiet():
            tools.quantize_static(
                prepared,
                target,
                _reader(tools, feeds),
                quant_format=tools.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                calibrate_method=tools.CalibrationMethod.MinMax,
                nodes_to_exclude=[*outer, *inner[:float_first]],
                **kept,
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source} cannot be converted to int8: {reason}") from error
    if unused:
        copy = onnx.load(str(target))
        _keep(copy, unused)
        onnx.save(copy, str(target))


def require_batch_independent(path: Path, session: Any, feeds: Feeds) -> None:
    """Refuse a graph whose result for one item changes with the others of its batch.

    Args:
        path: The graph.
        session: A session of it.
        feeds: One item.

    Raises:
        ModelError: It finds scales while it runs, or an item comes out otherwise beside a loud one.
    """
    dynamic = _dynamic_nodes(onnx.load(str(path), load_external_data=False))
    if dynamic:
        raise ModelError(
            f"{path}: its result for one face changes with the batch ({', '.join(dynamic)} find "
            "scales while it runs): take a float model, and optimise that"
        )
    if any(isinstance(each.shape[0], int) for each in session.get_inputs()):
        return
    try:
        change = _change_in_batch(session, feeds)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} says it takes any batch, but fails with two: {reason}") from error
    if change > _BATCH_TOLERANCE:
        raise ModelError(
            f"{path}: its result for one face changes with the batch (by {change:.1%} of its "
            "range): take another model"
        )


def _prepare(source: Path, target: Path) -> tuple[list[onnx.TensorProto], list[str], list[str]]:
    """Write the source as the quantiser wants it: nodes with names, scales for each channel known.

    Returns:
        Weights that no node uses, and the names of outer and inner convolutions.
    """
    try:
        model = onnx.load(str(source))
        unused = _unused(model)
        if next(each.version for each in model.opset_import if not each.domain) < _SCALES_OPSET:
            model = onnx.version_converter.convert_version(model, _SCALES_OPSET)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source} cannot be prepared for int8: {reason}") from error
    _take_one_at_a_time(model)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node{number}"
    onnx.save(model, str(target))
    return unused, *_convolutions(model)


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


def _dynamic_nodes(model: onnx.ModelProto) -> list[str]:
    """Kinds of nodes that find scales from what they are given."""
    return sorted({node.op_type for node in model.graph.node if "Dynamic" in node.op_type})


def _change_in_batch(session: Any, feeds: Feeds) -> float:
    """How much an item beside itself changes beside a loud one, as a share of the outputs' range.

    Both batches have the same size: what changes with the size alone is rounding.
    """
    calm = session.run(None, {name: np.concatenate([v, v]) for name, v in feeds.items()})
    loud = session.run(None, {name: np.concatenate([v, v * _LOUD]) for name, v in feeds.items()})
    pairs = [(a[:1], b[:1]) for a, b in zip(calm, loud, strict=True) if a.shape[0] == 2]
    return max((_relative(a, b) for a, b in pairs), default=0.0)


def _relative(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    span = float(np.ptp(ours)) or 1.0
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()) / span


def _convolutions(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Names of convolutions that stay as they are, and of those that may change, in order."""
    shapes = {each.name: list(each.dims) for each in model.graph.initializer}
    outer: list[str] = []
    inner: list[str] = []
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        shape = shapes.get(node.input[1])
        groups = next((int(a.i) for a in node.attribute if a.name == "group"), 1)
        fits = shape is not None and min(shape[0], shape[1] * groups) > _PICTURE_CHANNELS
        (inner if fits else outer).append(node.name)
    return outer, inner


def _unused(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Weights that no node uses; the swap network keeps a matrix so."""
    used = {name for node in model.graph.node for name in node.input}
    return [_copied(each) for each in model.graph.initializer if each.name not in used]


def _copied(tensor: onnx.TensorProto) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    return copy


def _keep(model: onnx.ModelProto, tensors: Sequence[onnx.TensorProto]) -> None:
    """Put weights back as they were."""
    names = {each.name for each in tensors}
    others = [_copied(each) for each in model.graph.initializer if each.name in names]
    for each in others:
        model.graph.initializer.remove(each)
    model.graph.initializer.extend(tensors)


def _reader(tools: Any, feeds: Sequence[Feeds]) -> Any:
    """The feeds as onnxruntime's calibration asks for them."""

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self._left, None)

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice of onnxruntime's tools, which is not meant for the user."""
    runtime = importlib.import_module("onnxruntime")
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    runtime.set_default_logger_severity(_ERRORS_ONLY)
    try:
        yield
    finally:
        runtime.set_default_logger_severity(_WARNINGS_TOO)
        root.setLevel(before)


def _tool(name: str) -> Any:
    """One of onnxruntime's tools.

    They add a folder to the import path once, with the first of them, and find each other through
    it; so all are imported together, and the path is left as it was.
    """
    before = list(sys.path)
    try:
        for each in _TOOLS:
            importlib.import_module(each)
    finally:
        sys.path[:] = before
    return sys.modules[name]
