"""Tiny ONNX graphs over the two planes of a frame that lies on a device (NV12, P010).

A plane is its memory as it is, [rows, pitch]: the padding of its lines is part of it, since
onnxruntime takes no lines that lie apart. Not for: running them (`farm.media.frame_device`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.media.device_area import Average

PLANES = ("luma", "chroma")
_OPSET, _IR = 17, 8
_FAR = 1 << 31
"""Behind the end of any plane."""
_Dtype = type[np.uint8] | type[np.uint16]
_Node = Any
_Value = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """One component as it lies in its plane."""

    plane: str
    """One of `PLANES`."""
    offset: int
    step: int
    """Both in samples."""

    def columns(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where columns of the component stand in a line of the plane."""
        return wanted * self.step + self.offset


def cut_graph() -> bytes:
    """Rectangles `luma_cut`, `chroma_cut` of both planes, in bytes.

    Further inputs, [2] int64 each: `luma_from`, `luma_to`, `chroma_from`, `chroma_to`, as row and
    byte, the latter exclusive.
    """
    planes = [_plane(name, np.uint8) for name in PLANES]
    ends = [_pair(f"{name}_{end}") for name in PLANES for end in ("from", "to")]
    nodes = [
        _node("Slice", [name, f"{name}_from", f"{name}_to"], [f"{name}_cut"]) for name in PLANES
    ]
    outputs = [_plane(f"{name}_cut", np.uint8) for name in PLANES]
    return _model(nodes, [*planes, *ends], outputs)


def put_graph() -> bytes:
    """Whole lines with a patch: `luma` becomes `luma_new`, `chroma` becomes `chroma_new`, in bytes.

    `luma_patch` and `chroma_patch` have as many lines and take the place of the bytes between what
    lies before `luma_left` and what lies from `luma_right` on, [2] int64: the number of lines and
    the byte for the left side, 0 and the byte for the right one.
    """
    inputs, nodes, outputs = [], [], []
    arrays: dict[str, NDArray[Any]] = {
        "start": np.zeros(2, np.int64),
        "end": np.full(2, _FAR, np.int64),
    }
    for name in PLANES:
        inputs += [_plane(name, np.uint8), _plane(f"{name}_patch", np.uint8)]
        inputs += [_pair(f"{name}_{side}") for side in ("left", "right")]
        parts = [f"{name}_before", f"{name}_patch", f"{name}_behind"]
        nodes += [
            _node("Slice", [name, "start", f"{name}_left"], [parts[0]]),
            _node("Slice", [name, f"{name}_right", "end"], [parts[2]]),
            _node("Concat", parts, [f"{name}_new"], axis=1),
        ]
        outputs.append(_plane(f"{name}_new", np.uint8))
    return _model(nodes, inputs, outputs, arrays)


def average_graph(
    components: Mapping[str, tuple[Strand, Average | None]],
    pitches: Mapping[str, int],
    dtype: _Dtype,
    shift: int,
) -> bytes:
    """Components averaged down, without unused low bits, or whole as they are stored.

    Args:
        components: By the name of the output; None for as they are.
        pitches: Samples in a line of each plane.
        dtype: Of a sample.
        shift: Unused low bits of a sample in its plane; they are zero.
    """
    arrays: dict[str, NDArray[Any]] = {}
    used = _in_order({strand.plane for strand, _ in components.values()})
    summed = _in_order({strand.plane for strand, average in components.values() if average})
    nodes = [_cast(plane, f"{plane}_float", np.float32) for plane in summed]
    for name, (strand, average) in components.items():
        if average is None:
            nodes.append(_strand_node(name, strand, arrays))
        else:
            arrays |= _average_arrays(name, strand, average, pitches[strand.plane], shift)
            nodes += _average_nodes(name, strand, average, dtype)
    inputs = [_plane(name, dtype) for name in used]
    return _model(nodes, inputs, [_plane(name, dtype) for name in components], arrays)


def _in_order(planes: set[str]) -> list[str]:
    return [name for name in PLANES if name in planes]


def _strand_node(name: str, strand: Strand, arrays: dict[str, NDArray[Any]]) -> _Node:
    """One component out of its plane, the padding of lines included."""
    numbers = {"from": strand.offset, "to": _FAR, "axis": 1, "step": strand.step}
    arrays |= {f"{name}_{key}": np.array([value], np.int64) for key, value in numbers.items()}
    return _node("Slice", [strand.plane, *(f"{name}_{key}" for key in numbers)], [name])


def _average_arrays(
    name: str, strand: Strand, average: Average, pitch: int, shift: int
) -> dict[str, NDArray[Any]]:
    """Weights and factor of one component."""
    across = np.zeros((pitch, average.after[0]), np.float32)
    across[strand.columns(np.arange(average.before[0]))] = average.weights(0)
    return {
        f"{name}_across": across,
        f"{name}_down": np.ascontiguousarray(average.weights(1).T),
        # Moving by a power of two changes no bit of a product.
        f"{name}_factor": np.array(average.factor / (1 << shift), np.float32),
        f"{name}_half": np.array(0.5, np.float32),
    }


def _average_nodes(name: str, strand: Strand, average: Average, dtype: _Dtype) -> list[_Node]:
    """One component averaged along its columns, along its rows, and rounded."""
    lines, sums, mean, more, level = (
        f"{name}_{each}" for each in ("lines", "sums", "mean", "more", "level")
    )
    rounding = [_node("Round", [mean], [level])]
    if average.half_up:
        add = _node("Add", [mean, f"{name}_half"], [more])
        rounding = [add, _node("Floor", [more], [level])]
    return [
        _node("MatMul", [f"{name}_down", f"{strand.plane}_float"], [lines]),
        _node("MatMul", [lines, f"{name}_across"], [sums]),
        _node("Mul", [sums, f"{name}_factor"], [mean]),
        *rounding,
        _cast(level, name, dtype),
    ]


def pick_graph(
    places: Mapping[str, tuple[Strand, NDArray[np.int64], NDArray[np.int64]]],
    dtype: _Dtype,
) -> bytes:
    """Samples at crossings of rows and columns: one output for each name, as they are stored.

    `places` are component, rows and columns by the name of the output.
    """
    arrays: dict[str, NDArray[Any]] = {}
    nodes: list[_Node] = []
    for name, (strand, rows, columns) in places.items():
        arrays |= {f"{name}_rows": rows, f"{name}_columns": strand.columns(columns)}
        lines = [strand.plane, f"{name}_rows"]
        nodes += [
            _node("Gather", lines, [f"{name}_lines"], axis=0),
            _node("Gather", [f"{name}_lines", f"{name}_columns"], [name], axis=1),
        ]
    inputs = [_plane(name, dtype) for name in PLANES]
    return _model(nodes, inputs, [_plane(name, dtype) for name in places], arrays)


def _cast(before: str, after: str, to: _Dtype | type[np.float32]) -> _Node:
    return _node("Cast", [before], [after], to=_type_number(to))


def _node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> _Node:
    from onnx import helper

    return helper.make_node(operator, inputs, outputs, **attributes)


def _type_number(dtype: type[np.generic]) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _plane(name: str, dtype: _Dtype) -> _Value:
    return _value(name, dtype, [f"{name}_rows_there", f"{name}_columns_there"])


def _pair(name: str) -> _Value:
    return _value(name, np.int64, [2])


def _value(name: str, dtype: type[np.generic], shape: Sequence[int | str]) -> _Value:
    from onnx import helper

    return helper.make_tensor_value_info(name, _type_number(dtype), shape)


def _model(
    nodes: Sequence[_Node],
    inputs: Sequence[_Value],
    outputs: Sequence[_Value],
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> bytes:
    from onnx import helper, numpy_helper

    constants = [numpy_helper.from_array(value, name) for name, value in (arrays or {}).items()]
    graph = helper.make_graph(list(nodes), "planes", list(inputs), list(outputs), constants)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
    return bytes(model.SerializeToString())
