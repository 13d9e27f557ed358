"""An ONNX graph under construction.

Not for: what a network is made of (`farm.bench.networks`, `farm.bench.swap_network`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SLOPE = 0.2
_Shape = Sequence[int | str]


class Graph:
    """Collects nodes and constants."""

    def __init__(self, seed: int) -> None:
        """Begin an empty graph; `seed` is that of its random weights."""
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(
        self, value: object, dtype: type[np.generic] = np.float32, name: str | None = None
    ) -> str:
        """Name of a constant."""
        name = name or f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def weight(self, shape: tuple[int, ...], scale: float, name: str | None = None) -> str:
        """Name of normally distributed random weights."""
        return self.constant(self._random.standard_normal(shape, np.float32) * scale, name=name)

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Name of what a new node gives."""
        output = output or f"t{len(self._nodes)}"
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def real(self, value: str) -> str:
        """The value as floats."""
        return self.add("Cast", value, to=TensorProto.FLOAT)

    def convolution(
        self,
        x: str,
        taken: int,
        given: int,
        *,
        side: int = 3,
        stride: int = 1,
        gain: float = 1.0,
        activation: bool = True,
    ) -> str:
        """A convolution that keeps the variance of what goes through it."""
        scale = gain * np.sqrt(2 / (taken * side * side))
        kernel, bias = self.weight((given, taken, side, side), scale), self.weight((given,), 0.1)
        pads, strides = [side // 2] * 4, [stride] * 2
        x = self.add("Conv", x, kernel, bias, pads=pads, strides=strides)
        return self.add("LeakyRelu", x, alpha=_SLOPE) if activation else x

    def save(
        self,
        path: Path,
        inputs: Mapping[str, _Shape],
        outputs: Mapping[str, _Shape],
        *,
        opset: int = 17,
    ) -> Path:
        """Write the graph as an ONNX file."""
        taken, given = ([_info(n, s) for n, s in each.items()] for each in (inputs, outputs))
        graph = helper.make_graph(self._nodes, path.stem, taken, given, self._constants)
        opsets = [helper.make_opsetid("", opset)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
        return path


def _info(name: str, shape: _Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
