"""ONNX graphs, put together node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | str | None]


class Graph:
    """Collects nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def named(self, name: str, value: NDArray[np.float32]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def whole(self, value: str) -> str:
        return self.add("Cast", value, to=TensorProto.INT64)

    def real(self, value: str) -> str:
        return self.add("Cast", value, to=TensorProto.FLOAT)

    def save(
        self,
        path: Path,
        inputs: dict[str, Shape],
        outputs: dict[str, Shape],
        *,
        opset: int = 17,
    ) -> Path:
        infos = [
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in each.items()]
            for each in (inputs, outputs)
        ]
        taken, given = infos
        graph = helper.make_graph(self.nodes, "made by a test", taken, given, self.constants)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path
