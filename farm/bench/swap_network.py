"""A swap network of random weights with the size and signature of `inswapper_128`.

Not for: pictures of anybody; what it gives looks like noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from farm.bench.graph import Graph

_CHANNELS = (128, 256, 512, 1024)
_BLOCKS = 6
_SIDE_PX, _LATENT = 128, 512


def make_swap_network(path: Path, *, width: float = 1.0, seed: int = 0) -> Path:
    """Write the network.

    Args:
        path: Where to.
        width: Channels as a share of the full size; 1.0 gives 554 MB, 0 one small convolution.
        seed: Of the weights.
    """
    graph = Graph(seed)
    x = _inside(graph, width) if width > 0 else _nothing(graph)
    x = graph.add("Tanh", x)
    half = graph.constant(0.5)
    graph.add("Add", graph.add("Mul", x, half), half, output="output")
    graph.weight((_LATENT, _LATENT), 1.0, name="buff2fs")
    shape: list[int | str] = ["n", 3, _SIDE_PX, _SIDE_PX]
    inputs: dict[str, list[int | str]] = {"target": shape, "source": ["n", _LATENT]}
    return graph.save(path, inputs, {"output": shape}, opset=13)


def _inside(graph: Graph, width: float) -> str:
    """Down, through the blocks that the source's vector styles, and up again."""
    first, second, third, inner = (max(8, int(width * c)) for c in _CHANNELS)
    x = graph.convolution("target", 3, first, side=7)
    x = graph.convolution(x, first, second)
    x = graph.convolution(x, second, third, stride=2)
    x = graph.convolution(x, third, inner, stride=2)
    for _ in range(_BLOCKS):
        y = graph.convolution(x, inner, inner, activation=False)
        y = graph.add("Relu", _styled(graph, y, inner))
        y = graph.convolution(y, inner, inner, activation=False)
        x = graph.add("Add", x, _styled(graph, y, inner))
    x = graph.convolution(_doubled(graph, x), inner, third)
    x = graph.convolution(_doubled(graph, x), third, second)
    x = graph.convolution(x, second, first)
    return graph.convolution(x, first, 3, side=7, gain=0.1, activation=False)


def _nothing(graph: Graph) -> str:
    """One small convolution, and a colour by the source's vector."""
    x = graph.convolution("target", 3, 3, activation=False)
    colour = graph.add("MatMul", "source", graph.weight((_LATENT, 3), 1.0))
    return graph.add("Add", x, graph.add("Unsqueeze", colour, graph.constant([2, 3], np.int64)))


def _styled(graph: Graph, x: str, channels: int) -> str:
    """Adaptive instance normalisation by the source's vector."""
    scale = graph.constant(np.concatenate([np.ones(channels), np.zeros(channels)]))
    style = graph.add("Gemm", "source", graph.weight((_LATENT, 2 * channels), 1.0), scale)
    style = graph.add("Unsqueeze", style, graph.constant([2, 3], np.int64))
    gain = graph.add("Slice", style, *_slice(graph, 0, channels))
    shift = graph.add("Slice", style, *_slice(graph, channels, 2 * channels))
    apart = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[2, 3], keepdims=1))
    spread = graph.add("ReduceMean", graph.add("Mul", apart, apart), axes=[2, 3], keepdims=1)
    spread = graph.add("Sqrt", graph.add("Add", spread, graph.constant(1e-6)))
    return graph.add("Add", graph.add("Mul", graph.add("Div", apart, spread), gain), shift)


def _doubled(graph: Graph, x: str) -> str:
    """Twice the height and width."""
    return graph.add("Resize", x, "", graph.constant([1, 1, 2, 2]), mode="linear")


def _slice(graph: Graph, start: int, stop: int) -> list[str]:
    """Names of begin, end and axis of a slice of channels."""
    return [graph.constant([value], np.int64) for value in (start, stop, 1)]
