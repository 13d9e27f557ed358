"""A network that makes frames between others, by the true signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.graph_maker import Graph, Shape


def make_interpolator(path: Path, *, reach_px: int = 6, one_input: bool = False) -> Path:
    """A flow-and-warp network: the shift that fits best around each pixel, then both pictures
    moved along it.

    It compares the pictures at every even shift of up to `reach_px`, each moved by half of it.
    With `one_input` both pictures and the phase are one input of seven channels.
    """
    graph = Graph()
    first, second, time = _interpolator_inputs(graph, one_input)
    shifts = [
        (dx, dy)
        for dy in range(-reach_px, reach_px + 1, 2)
        for dx in range(-reach_px, reach_px + 1, 2)
    ]
    shifts.sort(key=lambda shift: abs(shift[0]) + abs(shift[1]))
    padded = [_padded_by(graph, each, reach_px) for each in (first, second)]
    costs = []
    for dx, dy in shifts:
        one = _moved(graph, padded[0], reach_px, -dx // 2, -dy // 2)
        two = _moved(graph, padded[1], reach_px, dx // 2, dy // 2)
        apart = graph.add("Abs", graph.add("Sub", one, two))
        costs.append(graph.add("ReduceSum", apart, graph.constant([1], np.int64), keepdims=1))
    window: dict[str, Any] = {"kernel_shape": [9, 9], "pads": [4, 4, 4, 4]}
    around = graph.add("AveragePool", graph.add("Concat", *costs, axis=1), **window)
    best = graph.add("ArgMin", around, axis=1, keepdims=1)
    flow = [
        graph.add("Gather", graph.constant([float(s[axis]) for s in shifts]), best)
        for axis in (0, 1)
    ]
    left = graph.add("Sub", graph.constant(1.0), time)
    back = graph.add("Neg", time)
    one, two = _warped(graph, first, flow, back), _warped(graph, second, flow, left)
    graph.add("Add", graph.add("Mul", one, left), graph.add("Mul", two, time), name="output")
    picture: Shape = [1, 3, "h", "w"]
    inputs: dict[str, Shape] = {"img0": picture, "img1": picture, "timestep": [1, 1, 1, 1]}
    if one_input:
        inputs = {"input": [1, 7, "h", "w"]}
    return graph.save(path, inputs, {"output": picture})


def _interpolator_inputs(graph: Graph, one_input: bool) -> tuple[str, str, str]:
    """Names of the two pictures and of the phase, [1, 1, 1, 1]."""
    if not one_input:
        return "img0", "img1", "timestep"

    def channels(start: int, stop: int) -> str:
        ends = [graph.constant([each], np.int64) for each in (start, stop, 1)]
        return graph.add("Slice", "input", *ends)

    time = graph.add("ReduceMean", channels(6, 7), axes=[2, 3], keepdims=1)
    return channels(0, 3), channels(3, 6), time


def _padded_by(graph: Graph, picture: str, reach_px: int) -> str:
    sides = [0, 0, reach_px, reach_px] * 2
    return graph.add("Pad", picture, graph.constant(sides, np.int64), mode="edge")


def _moved(graph: Graph, padded: str, reach_px: int, dx: int, dy: int) -> str:
    """What lies `dx`, `dy` to the right of and below each pixel of a padded picture."""
    begin = [reach_px + dy, reach_px + dx]
    end = [dy - reach_px, dx - reach_px]
    ends = [each if each < 0 else 2**31 for each in end]
    picked = (graph.constant(v, np.int64) for v in (begin, ends, [2, 3]))
    return graph.add("Slice", padded, *picked)


def _warped(graph: Graph, picture: str, flow: list[str], factor: str) -> str:
    """The picture sampled at each pixel plus its flow times a factor."""
    places = []
    for axis, way in enumerate(flow):
        dimension = 3 - axis
        side = graph.real(graph.add("Shape", picture, start=dimension, end=dimension + 1))
        count = graph.add("Squeeze", side)
        steps = [graph.constant(0.0), count, graph.constant(1.0)]
        line = graph.add("Range", *steps)
        shape = [1, 1, 1, -1] if axis == 0 else [1, 1, -1, 1]
        here = graph.add("Reshape", line, graph.constant(shape, np.int64))
        there = graph.add("Add", here, graph.add("Mul", way, factor))
        last = graph.add("Div", graph.add("Sub", count, graph.constant(1.0)), graph.constant(2.0))
        place = graph.add("Sub", graph.add("Div", there, last), graph.constant(1.0))
        places.append(graph.add("Unsqueeze", place, graph.constant([4], np.int64)))
    grid = graph.add("Squeeze", graph.add("Concat", *places, axis=4), graph.constant([1], np.int64))
    options: dict[str, Any] = {"align_corners": 1, "mode": "bilinear", "padding_mode": "border"}
    return graph.add("GridSample", picture, grid, **options)
