from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_dynamic

from farm.errors import ModelError
from farm.models.graph import input_shapes, unused_matrix
from farm.models.int8 import prepare_int8, write_int8
from farm.models.quantize import require_batch_independent, write_fp16
from farm.models.session import SessionSettings, open_session
from farm.models.trials import Feeds
from tests.model_maker import make_enhancer, make_painter

CPU = SessionSettings(provider="cpu", threads=1)


def _feeds(count: int = 1, seed: int = 0) -> Feeds:
    random = np.random.default_rng(seed)
    target = random.random((count, 3, 128, 128), np.float32)
    source = random.standard_normal((count, 512)).astype(np.float32)
    return {"target": target, "source": source / np.linalg.norm(source, axis=1, keepdims=True)}


def _kinds(path: Path) -> dict[str, int]:
    """How many nodes of each kind a graph has."""
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    return {kind: kinds.count(kind) for kind in kinds}


def _int8(source: Path, target: Path, float_first: int = 0) -> Path:
    feeds = [_feeds(seed=seed) for seed in range(3)]
    write_int8(prepare_int8(source, feeds), target, float_first=float_first)
    return target


def _run(path: Path, feeds: Feeds) -> Any:
    return open_session(path, CPU).run(None, feeds)[0]


def test_int8_has_fixed_scales_and_leaves_the_outer_convolutions_alone(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    graph = onnx.load(_int8(source, tmp_path / "q.onnx")).graph
    assert [node.op_type for node in graph.node if "Conv" in node.op_type] == [
        "Conv",
        *["QLinearConv"] * 4,
        "Conv",
    ]
    scales = {each.name: list(each.dims) for each in graph.initializer}
    quantised = [node for node in graph.node if node.op_type == "QLinearConv"]
    assert [scales[node.input[4]] for node in quantised] == [[16]] * 4
    assert [scales[node.input[1]] for node in quantised] == [[]] * 4
    assert "DynamicQuantizeLinear" not in _kinds(tmp_path / "q.onnx")
    assert np.abs(_run(source, _feeds()) - _run(tmp_path / "q.onnx", _feeds())).max() < 0.05


def test_the_first_inner_convolutions_can_stay_float(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    all_of_them = _kinds(_int8(source, tmp_path / "a.onnx"))["QuantizeLinear"]
    fewer = _kinds(_int8(source, tmp_path / "b.onnx", float_first=3))["QuantizeLinear"]
    assert fewer < all_of_them


def test_the_matrix_that_no_node_uses_is_kept_to_the_bit(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    expected = unused_matrix(source, (512, 512))
    write_fp16(source, tmp_path / "half.onnx")
    for copy in (_int8(source, tmp_path / "q.onnx"), tmp_path / "half.onnx"):
        assert np.array_equal(unused_matrix(copy, (512, 512)), expected)


def test_graphs_from_before_scales_for_each_channel_are_brought_forward(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx", opset=11)
    copy = _int8(source, tmp_path / "q.onnx")
    assert np.abs(_run(source, _feeds()) - _run(copy, _feeds())).max() < 0.05
    assert unused_matrix(copy, (512, 512)).shape == (512, 512)


def test_fp16_takes_and_gives_what_its_source_does(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    write_fp16(source, tmp_path / "half.onnx")
    out = _run(tmp_path / "half.onnx", _feeds())
    assert out.dtype == np.float32
    assert np.abs(_run(source, _feeds()) - out).max() < 0.01


def test_a_graph_without_inner_convolutions_is_refused(tmp_path: Path) -> None:
    source = make_enhancer(tmp_path / "m.onnx", 32)
    with pytest.raises(ModelError, match="0 convolutions that int8 could speed up"):
        _int8(source, tmp_path / "q.onnx")


def test_a_graph_that_finds_its_scales_while_it_runs_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "dynamic.onnx"
    quantize_dynamic(make_painter(tmp_path / "m.onnx"), copy)
    with pytest.raises(ModelError, match=r"changes with the batch.*DynamicQuantizeLinear"):
        require_batch_independent(copy, open_session(copy, CPU), _feeds())


def test_scales_that_follow_the_batch_do_change_a_face(tmp_path: Path) -> None:
    copy = tmp_path / "dynamic.onnx"
    quantize_dynamic(make_painter(tmp_path / "m.onnx"), copy)
    one = _feeds()
    calm = {name: np.concatenate([value, value]) for name, value in one.items()}
    loud = {name: np.concatenate([value, value * 20]) for name, value in one.items()}
    assert np.abs(_run(copy, calm)[0] - _run(copy, loud)[0]).max() > 0.02


def test_an_int8_copy_takes_one_item_at_a_time(tmp_path: Path) -> None:
    copy = _int8(make_painter(tmp_path / "m.onnx"), tmp_path / "q.onnx")
    assert input_shapes(copy) == [[1, 3, 128, 128], [1, 512]]


def test_a_graph_that_mixes_the_items_of_a_batch_is_refused_whatever_its_nodes(
    tmp_path: Path,
) -> None:
    path = make_painter(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("ReduceMax", ["before"], ["top"], axes=[0]))
    model.graph.node.append(onnx.helper.make_node("Mul", ["before", "top"], ["output"]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="changes with the batch"):
        require_batch_independent(path, open_session(path, CPU), _feeds())


def test_static_copies_and_their_sources_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    for path in (source, _int8(source, tmp_path / "q.onnx")):
        require_batch_independent(path, open_session(path, CPU), _feeds())


def test_means_over_planes_are_taken_by_the_node_that_is_made_for_it(tmp_path: Path) -> None:
    source = make_painter(tmp_path / "m.onnx")
    model = onnx.load(source)
    last = model.graph.node[-1]
    out, last.output[0] = last.output[0], "before"
    kept = onnx.helper.make_node("ReduceMean", ["before"], ["mean"], axes=[2, 3], keepdims=1)
    other = onnx.helper.make_node("ReduceMean", ["before"], ["row"], axes=[3], keepdims=1)
    model.graph.node.extend(
        [
            kept,
            other,
            onnx.helper.make_node("Sub", ["before", "mean"], ["apart"]),
            onnx.helper.make_node("Sub", ["apart", "row"], [out]),
        ]
    )
    onnx.save(model, source)
    copy = _int8(source, tmp_path / "q.onnx")
    kinds = _kinds(copy)
    assert kinds["GlobalAveragePool"] == 1
    assert kinds["ReduceMean"] == _kinds(source)["ReduceMean"] - 1
    assert np.abs(_run(source, _feeds()) - _run(copy, _feeds())).max() < 0.05
