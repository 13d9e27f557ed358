"""A swap network of random weights with the size and signature of `inswapper_128`.

Not for: pictures of anybody; what it gives looks like noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_SLOPE = 0.2
_CHANNELS = (128, 256, 512, 1024)
_BLOCKS = 6
_SIDE_PX, _LATENT = 128, 512


def make_swap_network(path: Path, *, width: float = 1.0, seed: int = 0) -> Path:
    """Write the network.

    Args:
        path: Where to.
        width: Channels as a share of the full size; 1.0 gives 554 MB.
        seed: Of the weights.
    """
    build = _Builder(np.random.default_rng(seed))
    first, second, third, inner = (max(8, int(width * c)) for c in _CHANNELS)
    x = build.convolution("target", 3, first, 7, activation=True)
    x = build.convolution(x, first, second, 3, activation=True)
    x = build.convolution(x, second, third, 3, stride=2, activation=True)
    x = build.convolution(x, third, inner, 3, stride=2, activation=True)
    for _ in range(_BLOCKS):
        y = build.add("Relu", build.styled(build.convolution(x, inner, inner, 3), inner))
        x = build.add("Add", x, build.styled(build.convolution(y, inner, inner, 3), inner))
    x = build.convolution(build.doubled(x), inner, third, 3, activation=True)
    x = build.convolution(build.doubled(x), third, second, 3, activation=True)
    x = build.convolution(x, second, first, 3, activation=True)
    x = build.add("Tanh", build.convolution(x, first, 3, 7, gain=0.1))
    half = build.weight(np.float32(0.5))
    build.add("Add", build.add("Mul", x, half), half, output="output")
    build.weight(build.random.standard_normal((_LATENT, _LATENT), np.float32), name="buff2fs")
    build.save(path)
    return path


class _Builder:
    """A graph under construction."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def weight(self, value: object, name: str | None = None) -> str:
        """Name of a constant."""
        name = name or f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Name of what a new node gives."""
        output = output or f"t{len(self._nodes)}"
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def convolution(
        self,
        x: str,
        taken: int,
        given: int,
        side: int,
        *,
        stride: int = 1,
        gain: float = 1.0,
        activation: bool = False,
    ) -> str:
        """A convolution that keeps the variance of what goes through it."""
        scale = np.float32(gain * np.sqrt(2 / (taken * side * side)))
        kernel = self.random.standard_normal((given, taken, side, side), np.float32) * scale
        bias = self.random.standard_normal(given, np.float32) * np.float32(0.1)
        pads, strides = [side // 2] * 4, [stride] * 2
        x = self.add("Conv", x, self.weight(kernel), self.weight(bias), pads=pads, strides=strides)
        return self.add("LeakyRelu", x, alpha=_SLOPE) if activation else x

    def styled(self, x: str, channels: int) -> str:
        """Adaptive instance normalisation by the source's vector."""
        scale = np.concatenate([np.ones(channels), np.zeros(channels)]).astype(np.float32)
        matrix = self.random.standard_normal((_LATENT, 2 * channels), np.float32)
        style = self.add("Gemm", "source", self.weight(matrix), self.weight(scale))
        style = self.add("Unsqueeze", style, self.weight(np.array([2, 3], np.int64)))
        gain = self.add("Slice", style, *self._slice(0, channels))
        shift = self.add("Slice", style, *self._slice(channels, 2 * channels))
        apart = self.add("Sub", x, self.add("ReduceMean", x, axes=[2, 3], keepdims=1))
        spread = self.add("ReduceMean", self.add("Mul", apart, apart), axes=[2, 3], keepdims=1)
        spread = self.add("Sqrt", self.add("Add", spread, self.weight(np.float32(1e-6))))
        return self.add("Add", self.add("Mul", self.add("Div", apart, spread), gain), shift)

    def doubled(self, x: str) -> str:
        """Twice the height and width."""
        factors = self.weight(np.array([1, 1, 2, 2], np.float32))
        return self.add("Resize", x, "", factors, mode="linear")

    def save(self, path: Path) -> None:
        """Write the graph."""
        target: list[int | str] = ["n", 3, _SIDE_PX, _SIDE_PX]
        source: list[int | str] = ["n", _LATENT]
        graph = helper.make_graph(
            self._nodes,
            "a swap network of random weights",
            [_info("target", target), _info("source", source)],
            [_info("output", target)],
            self._weights,
        )
        opset = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))

    def _slice(self, start: int, stop: int) -> list[str]:
        """Names of begin, end and axis of a slice of channels."""
        values: list[NDArray[np.int64]] = [np.array([n], np.int64) for n in (start, stop, 1)]
        return [self.weight(value) for value in values]


def _info(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
