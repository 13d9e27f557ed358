from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError
from farm.models.graph import input_shapes, unused_matrix, without_weights
from farm.models.session import check_graph
from tests.model_maker import make_arcface, make_inswapper


def _save(path: Path, tensors: list[TensorProto], used: list[str]) -> Path:
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{name}"]) for name in used]
    info = helper.make_tensor_value_info
    outputs = [info(f"y{name}", TensorProto.FLOAT, [1, 4]) for name in used]
    inputs = [info("x", TensorProto.FLOAT, [1, 4])]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, tensors))
    path.write_bytes(model.SerializeToString())
    return path


def _tensor(name: str, value: float, dtype: type[np.generic] = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.full((4, 4), value, dtype), name)


def test_the_matrix_of_a_swap_model_is_found_though_it_is_not_last(tmp_path: Path) -> None:
    found = unused_matrix(make_inswapper(tmp_path / "m.onnx"), (512, 512))
    assert np.array_equal(found, np.roll(np.eye(512, dtype=np.float32), 1, axis=1))


def test_a_matrix_that_a_node_uses_is_not_taken(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "m.onnx", [_tensor("a", 1), _tensor("b", 2), _tensor("c", 3)], ["a", "c"]
    )
    assert unused_matrix(path, (4, 4))[0, 0] == 2


def test_half_precision_and_number_lists_are_read(tmp_path: Path) -> None:
    half = _save(tmp_path / "h.onnx", [_tensor("a", 0.5, np.float16)], [])
    assert unused_matrix(half, (4, 4)).tolist() == [[0.5] * 4] * 4
    listed = helper.make_tensor("a", TensorProto.FLOAT, [4, 4], [0.25] * 16)
    assert unused_matrix(_save(tmp_path / "l.onnx", [listed], []), (4, 4))[3, 3] == 0.25


def test_none_or_several_are_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="0 matrices of 4x4"):
        unused_matrix(_save(tmp_path / "none.onnx", [], []), (4, 4))
    two = _save(tmp_path / "two.onnx", [_tensor("a", 1), _tensor("b", 2)], [])
    with pytest.raises(ModelError, match="2 matrices of 4x4"):
        unused_matrix(two, (4, 4))


@pytest.mark.parametrize("cut", [0, 1, 40, -5])
def test_a_cut_off_file_is_a_model_error(tmp_path: Path, cut: int) -> None:
    path = _save(tmp_path / "m.onnx", [_tensor("a", 1)], [])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"m\.onnx"):
        unused_matrix(path, (4, 4))


def test_what_a_model_takes_is_read_without_its_weights(tmp_path: Path) -> None:
    swapper, recognizer = make_inswapper(tmp_path / "s.onnx"), make_arcface(tmp_path / "a.onnx")
    assert input_shapes(swapper) == [[1, 3, 128, 128], [1, 512]]
    assert input_shapes(recognizer) == [[None, 3, 112, 112]]


def test_weights_listed_as_inputs_and_lengths_below_one_are_no_shapes(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    inputs = [info("a", TensorProto.FLOAT, [4, 4]), info("x", TensorProto.FLOAT, [-1, 0, 4])]
    graph = helper.make_graph([], "g", inputs, [], [_tensor("a", 1)])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert input_shapes(tmp_path / "m.onnx") == [[None, None, 4]]


def test_a_file_that_takes_nothing_is_a_model_error(tmp_path: Path) -> None:
    graph = helper.make_graph([], "g", [], [])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx.*takes no input"):
        input_shapes(tmp_path / "m.onnx")


def test_a_graph_without_its_weights_is_small_and_takes_them_as_inputs(tmp_path: Path) -> None:
    path = make_inswapper(tmp_path / "m.onnx")
    light = onnx.load_model_from_string(without_weights(path))
    whole = onnx.load(path)
    assert len(without_weights(path)) < 20_000 < path.stat().st_size
    assert light.graph.node == whole.graph.node
    assert light.opset_import == whole.opset_import
    heavy = [each.name for each in whole.graph.initializer if each.ByteSize() > 4096]
    names = [each.name for each in light.graph.input]
    assert sorted(names) == sorted([*(each.name for each in whole.graph.input), *heavy])
    small = [each for each in whole.graph.initializer if each.ByteSize() <= 4096]
    assert list(light.graph.initializer) == small


def test_weights_whose_bytes_do_not_fit_their_shape_are_refused(tmp_path: Path) -> None:
    path = make_inswapper(tmp_path / "m.onnx")
    model = onnx.load(path)
    largest = max(model.graph.initializer, key=lambda each: each.ByteSize())
    largest.raw_data = largest.raw_data[:-40]
    onnx.save(model, path)
    with pytest.raises(ModelError, match="do not fit its shape"):
        without_weights(path)


def test_a_graph_that_cannot_be_run_is_refused_without_its_weights(tmp_path: Path) -> None:
    path = make_inswapper(tmp_path / "m.onnx")
    assert check_graph(path)[0][1:] == [3, 128, 128]
    model = onnx.load(path)
    model.graph.node[0].op_type = "Konv"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"m\.onnx is not an ONNX model that can be run"):
        check_graph(path)
