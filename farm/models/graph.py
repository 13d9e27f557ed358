"""What an ONNX file says without being loaded: its inputs, and weights that no session gives back.

The swap network keeps a matrix that none of its nodes uses; optimisers drop it, so it is read from
the file. The reader knows just enough of the protobuf encoding to skip what it does not need: half
a gigabyte of weights is neither copied nor parsed.
Not for: running networks (`farm.models.session`).
Source: field numbers of `onnx.proto` (ModelProto, GraphProto, NodeProto, TensorProto,
ValueInfoProto, TypeProto, TensorShapeProto).
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farm.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER, _NODE_INPUT = 7, 1, 5, 1
_GRAPH_INPUT, _INPUT_NAME, _DIM_VALUE = 11, 1, 1
_INPUT_DIMS = (2, 1, 2, 1)
"""From an input through its type, tensor type and shape to its dimensions."""
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 1, 2, 4, 8, 9
_HEAVY_BYTES = 4096
"""Weights of more are left out where only the graph counts."""
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 10: 2, 11: 8, 16: 2}
_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a message: a number, or where its bytes lie in the file."""

    number: int
    wire: int
    value: int
    """The number of a varint."""
    start: int
    stop: int


def input_shapes(path: Path) -> list[list[int | None]]:
    """Shapes of what the model takes, in its order; None for a length that is not fixed.

    Raises:
        ModelError: The file is no ONNX model.
    """
    with _opened(path) as data:
        graphs = [f for f in _fields(data, 0, len(data)) if f.number == _MODEL_GRAPH]
        fields = [f for graph in graphs for f in _fields(data, graph.start, graph.stop)]
        # Old files list their weights among the inputs.
        weights = {_name(data, f) for f in fields if f.number == _GRAPH_INITIALIZER}
        inputs = [f for f in fields if f.number == _GRAPH_INPUT]
        taken = [f for f in inputs if not weights.intersection(_texts(data, f, _INPUT_NAME))]
        if not taken:
            raise ValueError("it takes no input")
        return [_input_shape(data, f) for f in taken]


def unused_matrix(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The one matrix of this shape among the weights that no node uses.

    Where no unused one has the shape, the only one of that shape at all.

    Raises:
        ModelError: The file is no ONNX model, or no or more than one matrix fits.
    """
    with _opened(path) as data:
        return _find(data, path, shape)


def without_weights(path: Path) -> bytes:
    """The model with its large weights turned into inputs of the same shape, as a small ONNX file.

    A session of it says whether the graph can be run at all, without reading what makes it large.

    Raises:
        ModelError: The file is no ONNX model, or the bytes of a weight do not fit its shape.
    """
    with _opened(path) as data:
        parts = []
        for field in _fields(data, 0, len(data)):
            if field.number == _MODEL_GRAPH:
                graph = _light_graph(data, field)
                parts.append(_written(_MODEL_GRAPH, graph))
            else:
                parts.append(_copied(data, field))
        return b"".join(parts)


def _light_graph(data: mmap.mmap, graph: _Field) -> bytes:
    """The bytes of `without_weights` that are the graph."""
    fields = list(_fields(data, graph.start, graph.stop))
    inputs = [f for f in fields if f.number == _GRAPH_INPUT]
    listed = {name for f in inputs for name in _texts(data, f, _INPUT_NAME)}
    parts = []
    for field in fields:
        heavy = field.number == _GRAPH_INITIALIZER and field.stop - field.start > _HEAVY_BYTES
        if not heavy:
            parts.append(_copied(data, field))
        elif _name(data, field) not in listed:
            parts.append(_written(_GRAPH_INPUT, _as_input(data, field)))
    return b"".join(parts)


def _as_input(data: mmap.mmap, tensor: _Field) -> bytes:
    """A weight as the input of a graph."""
    fields = {f.number: f for f in _fields(data, tensor.start, tensor.stop)}
    shape, kind = _shape(data, tensor), fields[_DATA_TYPE].value if _DATA_TYPE in fields else 0
    raw = fields.get(_RAW_DATA)
    item = _ITEM_BYTES.get(kind)
    if raw is not None and item is not None and raw.stop - raw.start != item * math.prod(shape):
        raise ValueError(f"the bytes of {_name(data, tensor)} do not fit its shape {list(shape)}")
    from onnx import helper

    info = helper.make_tensor_value_info(_name(data, tensor), kind, list(shape))
    return bytes(info.SerializeToString())


def _copied(data: mmap.mmap, field: _Field) -> bytes:
    """A field as it is."""
    if field.wire == _BYTES:
        return _written(field.number, data[field.start : field.stop])
    return _number(field.number << 3 | field.wire) + data[field.start : field.stop]


def _written(number: int, payload: bytes) -> bytes:
    """A field of bytes."""
    return _number(number << 3 | _BYTES) + _number(len(payload)) + payload


def _number(value: int) -> bytes:
    """Seven bits a byte."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of the file; what is wrong with them becomes a `ModelError`."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except (OSError, ValueError, IndexError) as error:
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from error


def _find(data: mmap.mmap, path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """`unused_matrix` on the bytes of the file."""
    graphs = [f for f in _fields(data, 0, len(data)) if f.number == _MODEL_GRAPH]
    fitting: dict[str, _Field] = {}
    used: set[str] = set()
    for graph in graphs:
        for field in _fields(data, graph.start, graph.stop):
            if field.number == _GRAPH_INITIALIZER and _shape(data, field) == shape:
                fitting[_name(data, field)] = field
            elif field.number == _GRAPH_NODE:
                used.update(_texts(data, field, _NODE_INPUT))
    unused = [tensor for name, tensor in fitting.items() if name not in used]
    chosen = unused or list(fitting.values())
    if len(chosen) != 1:
        raise ModelError(
            f"{path} has {len(chosen)} matrices of {shape[0]}x{shape[1]} where one is expected: "
            "it is not a model of this kind"
        )
    return _values(data, chosen[0], shape)


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[_Field]:
    """The fields of the message between two offsets, without looking into them."""
    at = start
    while at < stop:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, end = _varint(data, at)
            yield _Field(number, wire, value, at, end)
        elif wire == _BYTES:
            length, at = _varint(data, at)
            end = at + length
            yield _Field(number, wire, 0, at, end)
        elif wire in (_FIXED32, _FIXED64):
            end = at + (4 if wire == _FIXED32 else 8)
            yield _Field(number, wire, 0, at, end)
        else:
            raise ValueError(f"byte {at} is no protobuf field")
        if end > stop:
            raise ValueError(f"the file ends within a field at byte {at}")
        at = end


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"byte {at} is no protobuf number")


def _shape(data: mmap.mmap, tensor: _Field) -> tuple[int, ...]:
    """Dimensions of a tensor; both encodings of a repeated number are read."""
    dims: list[int] = []
    for field in _fields(data, tensor.start, tensor.stop):
        if field.number != _DIMS:
            continue
        if field.wire == _VARINT:
            dims.append(field.value)
            continue
        at = field.start
        while at < field.stop:
            value, at = _varint(data, at)
            dims.append(value)
    return tuple(dims)


def _input_shape(data: mmap.mmap, field: _Field) -> list[int | None]:
    """Dimensions of one input."""
    found = [field]
    for number in _INPUT_DIMS:
        found = [f for at in found for f in _fields(data, at.start, at.stop) if f.number == number]
    values = [list(_fields(data, dim.start, dim.stop)) for dim in found]
    # Negative numbers, which some exporters write for "any", are huge here.
    fixed = ((f.value for f in dim if f.number == _DIM_VALUE) for dim in values)
    return [next((v for v in lengths if 0 < v < 1 << 31), None) for lengths in fixed]


def _texts(data: mmap.mmap, message: _Field, number: int) -> list[str]:
    """All values of one text field."""
    fields = _fields(data, message.start, message.stop)
    return [data[f.start : f.stop].decode() for f in fields if f.number == number]


def _name(data: mmap.mmap, tensor: _Field) -> str:
    return next(iter(_texts(data, tensor, _NAME)), "")


def _values(data: mmap.mmap, tensor: _Field, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The numbers of a tensor, copied out of the file as float32."""
    fields = {f.number: f for f in _fields(data, tensor.start, tensor.stop)}
    dtype = _DTYPES.get(fields[_DATA_TYPE].value) if _DATA_TYPE in fields else None
    held = fields.get(_RAW_DATA) or fields.get(_FLOAT_DATA)
    if dtype is None or held is None or held.wire != _BYTES:
        raise ValueError(f"the {shape[0]}x{shape[1]} matrix is not stored as numbers in the file")
    flat = np.frombuffer(data[held.start : held.stop], dtype=dtype)
    return np.ascontiguousarray(flat.reshape(shape), dtype=np.float32)
