"""A small SCRFD as its authors export it: one picture in, rows of all its cells in flat lists.

Not for: finding anything; its weights are random.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from farm.bench.graph import Graph


def make_single_scrfd(path: Path) -> Path:
    """Write the network: nine outputs, a batch of one, values of a cell turned last."""
    graph = Graph(seed=3)
    x, taken = "input.1", 3
    outputs: dict[str, list[int | str]] = {}
    levels = {}
    for stride in (2, 4, 8, 16, 32):
        x, taken = graph.convolution(x, taken, 8, stride=2), 8
        levels[stride] = x
    for kind, values in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            name = f"{kind}_{stride}"
            y = graph.convolution(levels[stride], 8, 2 * values, activation=False)
            y = graph.add("Transpose", y, perm=[2, 3, 0, 1])
            shape = graph.constant([-1, values], np.int64)
            if kind == "score":
                graph.add("Sigmoid", graph.add("Reshape", y, shape), output=name)
            else:
                graph.add("Reshape", y, shape, output=name)
            outputs[name] = [f"rows_{stride}", values]
    return graph.save(path, {"input.1": [1, 3, "h", "w"]}, outputs, opset=11)
