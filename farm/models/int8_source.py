"""A network made ready to be written in int8: one item at a time, in nodes that run fast there.

Not for: the copy itself (`farm.models.int8`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from farm.models.kept_weights import put_back, unused_weights

_PICTURE_CHANNELS = 4
_OPSET = 13
"""The oldest whose nodes are written here."""
_LIGHT = 1024
"""Weights of more numbers are left out of what is looked at for the shapes of tensors."""
_PLANE_AXES = ([2, 3], [-2, -1])


def read_for_int8(source: Path) -> onnx.ModelProto:
    """The network with a batch of one, in opset 13 or later; what it computes stays the same."""
    model = onnx.load(str(source))
    if next(each.version for each in model.opset_import if not each.domain) < _OPSET:
        kept = unused_weights(model)
        model = onnx.version_converter.convert_version(model, _OPSET)
        put_back(model, kept)
    _take_one_at_a_time(model)
    _average_planes(model)
    return model


def inner_convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The convolutions of fixed weights that are not next to the picture, in order.

    Those next to the picture (4 channels or fewer) cost little, and their error shows most.
    """
    shapes = {each.name: list(each.dims) for each in model.graph.initializer}
    inner = []
    for node in model.graph.node:
        shape = shapes.get(node.input[1]) if node.op_type == "Conv" else None
        fixed = len(node.input) < 3 or not node.input[2] or node.input[2] in shapes
        if shape is None or len(shape) != 4 or not fixed:
            continue
        if min(shape[0], shape[1] * groups_of(node)) > _PICTURE_CHANNELS:
            inner.append(node)
    return inner


def groups_of(node: onnx.NodeProto) -> int:
    """Into how many parts, each for itself, a convolution divides its channels."""
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def without_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without nodes and weights: what it takes and gives, and what is said of it."""
    bare = onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.metadata_props.extend(model.metadata_props)
    bare.graph.name = model.graph.name
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    return bare


def _take_one_at_a_time(model: onnx.ModelProto) -> None:
    """Fix the batch at one.

    Float sums round otherwise in batches of another size. In float nobody sees it; here a value
    that lies between two steps of 8 bits takes the other one, and a face would change with the
    chunk's last, smaller batch.
    """
    weights = {each.name for each in model.graph.initializer}
    taken = [each for each in model.graph.input if each.name not in weights]
    firsts = [each.type.tensor_type.shape.dim[0] for each in taken]
    names = {dim.dim_param for dim in firsts if dim.dim_param}
    for given in model.graph.output:
        firsts += [d for d in given.type.tensor_type.shape.dim[:1] if d.dim_param in names]
    for dim in firsts:
        dim.dim_value = 1
    del model.graph.value_info[:]


def _average_planes(model: onnx.ModelProto) -> None:
    """Take the means over height and width by the node that is made for it.

    onnxruntime lays tensors between int8 convolutions out by pixel. A general mean over such planes
    takes 15 times as long, an eighth of a swap network's time; this node makes it turn them back.
    """
    means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    pictures = _pictures(model) if means else set()
    constants = {each.name: each for each in model.graph.initializer}
    for node in means:
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        axes = told.get("axes")
        if len(node.input) > 1 and node.input[1] in constants:
            axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
        plane = list(axes or ()) in _PLANE_AXES and told.get("keepdims", 1)
        if plane and node.input[0] in pictures:
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
            del node.input[1:]


def _pictures(model: onnx.ModelProto) -> set[str]:
    """Names of the tensors that are known to have four lengths."""
    light = without_nodes(model)
    light.graph.node.extend(model.graph.node)
    for each in model.graph.initializer:
        if int(np.prod(each.dims)) <= _LIGHT:
            light.graph.initializer.append(each)
        else:
            known = helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
            light.graph.input.append(known)
    shaped = onnx.shape_inference.infer_shapes(light).graph
    infos = [*shaped.value_info, *shaped.input, *shaped.output]
    return {each.name for each in infos if len(each.type.tensor_type.shape.dim) == 4}
