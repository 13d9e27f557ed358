"""Weights that no node uses, kept as they are; the swap network holds a matrix so.

Tools that rewrite graphs convert or drop them.
Not for: reading that matrix from a file (`farm.models.graph`).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto


def unused_weights(model: onnx.ModelProto) -> list[TensorProto]:
    """Copies of the weights that no node uses."""
    used = {name for node in model.graph.node for name in node.input}
    return [_copied(each) for each in model.graph.initializer if each.name not in used]


def put_back(model: onnx.ModelProto, tensors: Sequence[TensorProto]) -> None:
    """Add weights that were lost, and take them instead of what they were turned into."""
    names = {each.name for each in tensors}
    changed = [_copied(each) for each in model.graph.initializer if each.name in names]
    for each in changed:
        model.graph.initializer.remove(each)
    model.graph.initializer.extend(tensors)


def _copied(tensor: TensorProto) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    return copy
