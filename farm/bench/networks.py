"""Networks with the true signatures of the farm's, made on the spot, in three sizes.

Swap network and recognizer have random weights; the detector finds what is warm in colour, so that
every frame of the benchmark's clip shows one face where the portrait is. Not for: pictures of
anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.bench.graph import Graph
from farm.bench.sizes import NetworkSize
from farm.bench.swap_network import make_swap_network

_STRIDES = (8, 16, 32)
_WARM = 30.0
"""By how many levels red must exceed blue."""
_SCORE = 0.9
_PLACES = np.array(
    [
        [0.23, 0.30],
        [0.81, 0.95],
        [0.33, 0.50],
        [0.63, 0.50],
        [0.50, 0.635],
        [0.39, 0.725],
        [0.61, 0.725],
    ],
    np.float32,
)
"""Corners of the face's box and its five landmarks, as shares of the box of what is warm."""


_WIDTHS = {NetworkSize.TINY: 0.0, NetworkSize.HALF: 0.5, NetworkSize.FULL: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Where the model files of a benchmark lie."""

    detector: Path
    recognizer: Path
    swapper: Path

    def overrides(self) -> tuple[tuple[str, Path], ...]:
        """As `--model KIND=PATH` takes them."""
        return (
            ("detector", self.detector),
            ("recognizer", self.recognizer),
            ("swapper", self.swapper),
        )


def make_networks(folder: Path, size: NetworkSize) -> Networks:
    """Write the three networks of a size into a folder."""
    width = _WIDTHS[size]
    return Networks(
        detector=make_detector(folder / f"detector_{size}.onnx", width),
        recognizer=make_recognizer(folder / f"recognizer_{size}.onnx", width),
        swapper=make_swap_network(folder / f"swapper_{size}.onnx", width=width),
    )


def make_detector(path: Path, width: float) -> Path:
    """Write an SCRFD of two anchors a cell with nine outputs.

    Args:
        path: Where to.
        width: Share of the channels of a 10-gigaflop network; 0 leaves its body out.
    """
    graph = Graph(seed=1)
    kernel = graph.constant(np.reshape([128.0, 0.0, -128.0], (1, 3, 1, 1)))
    warm = graph.real(
        graph.add("Greater", graph.add("Conv", "input.1", kernel), graph.constant(_WARM))
    )
    if width > 0:
        warm = graph.add("Add", warm, graph.add("Mul", _body(graph, width), graph.constant(0.0)))
    there = graph.add("ReduceMax", warm, axes=[1, 2, 3], keepdims=0)
    low, size = _box(graph, warm)
    places = graph.add("Add", low, graph.add("Mul", size, graph.constant(_PLACES)))
    outputs: dict[str, list[int | str]] = {}
    for stride in _STRIDES:
        _outputs(graph, stride, warm, there, places)
        for kind, values in (("score", 1), ("box", 4), ("points", 10)):
            outputs[f"{kind}_{stride}"] = ["n", f"rows_{stride}", values]
    return graph.save(path, {"input.1": ["n", 3, "h", "w"]}, outputs)


def make_recognizer(path: Path, width: float) -> Path:
    """Write an ArcFace network of 112x112 crops and 512 numbers; see `make_detector`."""
    graph = Graph(seed=2)
    x, taken = "input.1", 3
    for channels, repeats in ((64, 4), (128, 6), (256, 14), (512, 3)):
        given = int(channels * width)
        for number in range(repeats if given else 0):
            x = graph.convolution(x, taken, given, stride=2 if number == 0 else 1)
            taken = given
    mean = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    graph.add("MatMul", mean, graph.weight((taken, 512), 1.0), output="embedding")
    return graph.save(path, {"input.1": ["n", 3, 112, 112]}, {"embedding": ["n", 512]})


def _body(graph: Graph, width: float) -> str:
    """About 5 billion multiplications for 640x640, as one number per picture."""
    x, taken = "input.1", 3
    for channels, repeats in ((32, 1), (64, 1), (96, 7), (160, 5), (256, 3)):
        given = max(8, int(channels * width))
        for number in range(repeats):
            x = graph.convolution(x, taken, given, stride=2 if number == 0 else 1)
            taken = given
    return graph.add("ReduceMean", x, axes=[1, 2, 3], keepdims=1)


def _box(graph: Graph, warm: str) -> tuple[str, str]:
    """Upper left corner and size, [n, 1, 2] in pixels, of all that is warm."""
    lows, highs = [], []
    for axis in (3, 2):
        line = graph.add("ReduceMax", warm, axes=[5 - axis], keepdims=0)
        first = graph.add("ArgMax", line, axis=2, keepdims=0, select_last_index=0)
        last = graph.add("ArgMax", line, axis=2, keepdims=0, select_last_index=1)
        lows.append(graph.real(first))
        highs.append(graph.real(last))
    shape = graph.constant([-1, 1, 2], np.int64)
    low = graph.add("Reshape", graph.add("Concat", *lows, axis=1), shape)
    high = graph.add("Reshape", graph.add("Concat", *highs, axis=1), shape)
    return low, graph.add("Sub", high, low)


def _outputs(graph: Graph, stride: int, warm: str, there: str, places: str) -> None:
    """Score, box and landmarks of every anchor of a stride; only stride 32 sees faces."""
    size = graph.add("Shape", warm, start=2, end=4)
    cells = graph.add("Div", size, graph.constant([stride, stride], np.int64))
    count = graph.add(
        "Mul", graph.add("ReduceProd", cells, keepdims=0), graph.constant(2, np.int64)
    )
    rows = graph.add("Range", graph.constant(0, np.int64), count, graph.constant(1, np.int64))
    cell = graph.add("Div", rows, graph.constant(2, np.int64))
    wide = graph.add("Gather", cells, graph.constant(1, np.int64))
    y = graph.add("Div", cell, wide)
    x = graph.add("Sub", cell, graph.add("Mul", y, wide))
    axis = graph.constant([1], np.int64)
    xy = graph.add("Concat", *(graph.add("Unsqueeze", v, axis) for v in (x, y)), axis=1)
    anchors = graph.add("Mul", graph.real(xy), graph.constant(float(stride)))
    _scores(graph, stride, anchors, there, places)
    low = _place(graph, places, 0)
    high = _place(graph, places, 1)
    reach = (graph.add("Sub", anchors, low), graph.add("Sub", high, anchors))
    scale = graph.constant(1 / stride)
    graph.add("Mul", graph.add("Concat", *reach, axis=2), scale, output=f"box_{stride}")
    points = [graph.add("Sub", _place(graph, places, n), anchors) for n in range(2, 7)]
    graph.add("Mul", graph.add("Concat", *points, axis=2), scale, output=f"points_{stride}")


def _scores(graph: Graph, stride: int, anchors: str, there: str, places: str) -> None:
    """The anchors near the nose see the face, those of stride 32 only."""
    apart = graph.add("Abs", graph.add("Sub", anchors, _place(graph, places, 4)))
    far = graph.add("ReduceMax", apart, axes=[2], keepdims=1)
    near = graph.real(graph.add("LessOrEqual", far, graph.constant(stride / 2)))
    shape = graph.constant([-1, 1, 1], np.int64)
    seen = graph.add("Mul", near, graph.add("Reshape", there, shape))
    score = _SCORE if stride == max(_STRIDES) else 0.0
    graph.add("Mul", seen, graph.constant(score), output=f"score_{stride}")


def _place(graph: Graph, places: str, number: int) -> str:
    """One place of [n, 7, 2] as [n, 1, 2]."""
    return graph.add("Gather", places, graph.constant(np.array([number]), np.int64), axis=1)
