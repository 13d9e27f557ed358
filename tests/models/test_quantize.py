from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_dynamic

from farm.errors import ModelError
from farm.models.graph import input_shapes, unused_matrix
from farm.models.int8 import in_steps, prepare_int8, write_int8
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


def _uneven(path: Path) -> Path:
    """Long sums over channels of very different size, between them a bent line."""
    random = np.random.default_rng(4)
    taken, given = 2.0 ** -(np.arange(128) % 8), 2.0 ** (np.arange(32) % 6)
    first = (
        random.standard_normal((32, 128, 3, 3)) / taken[:, None, None] * given[:, None, None, None]
    )
    second = random.standard_normal((8, 32, 6, 6)) / given[:, None, None]
    values = {
        "sizes": taken.reshape(1, -1, 1, 1),
        "first": first / 34,
        "bias": given * 2,
        "second": second / 34,
    }
    nodes = [
        onnx.helper.make_node("Mul", ["input", "sizes"], ["x"]),
        onnx.helper.make_node("Conv", ["x", "first", "bias"], ["y"], pads=[1] * 4),
        onnx.helper.make_node("LeakyRelu", ["y"], ["z"], alpha=0.2),
        onnx.helper.make_node("Conv", ["z", "second"], ["output"], strides=[2, 2], pads=[2] * 4),
    ]
    weights = [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()]
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("input", ("n", 128, 16, 16)), ("output", ("n", 8, 8, 8)))
    ]
    graph = onnx.helper.make_graph(nodes, "uneven", infos[:1], infos[1:], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def _signal_to_noise_db(source: Path, copy: Path, feeds: Feeds) -> float:
    expected, found = _run(source, feeds), _run(copy, feeds)
    return float(10 * np.log10(np.mean(expected**2) / np.mean((found - expected) ** 2)))


def test_channels_of_long_sums_have_scales_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, copy = _uneven(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    random = np.random.default_rng(1)
    runs = [{"input": random.random((1, 128, 16, 16), np.float32) - 0.2} for _ in range(5)]
    write_int8(prepare_int8(source, runs[1:]), copy, float_first=0)
    assert [kind for kind in _kinds(copy) if "Conv" in kind] == ["QLinearConv"]
    by_channel = _signal_to_noise_db(source, copy, runs[0])
    monkeypatch.setattr("farm.models.int8._LONG_SUM", 10_000)
    write_int8(prepare_int8(source, runs[1:]), copy, float_first=0)
    assert by_channel > 25
    assert by_channel > _signal_to_noise_db(source, copy, runs[0]) + 6


def test_a_bias_that_dwarfs_its_weights_is_kept(tmp_path: Path) -> None:
    source, copy = _uneven(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    model = onnx.load(source)
    named = {each.name: each for each in model.graph.initializer}
    weights = onnx.numpy_helper.to_array(named["first"]).copy()
    weights[3] = 0
    named["first"].CopyFrom(onnx.numpy_helper.from_array(weights, "first"))
    onnx.save(model, source)
    feeds = {"input": np.random.default_rng(1).random((1, 128, 16, 16), np.float32)}
    write_int8(prepare_int8(source, [feeds]), copy, float_first=0)
    assert _signal_to_noise_db(source, copy, feeds) > 25


@pytest.mark.parametrize("groups", [1, 4])
def test_weights_are_scaled_by_the_channel_that_they_take(groups: int) -> None:
    random = np.random.default_rng(0)
    weights = random.standard_normal((8, 16 // groups, 1, 1)).astype(np.float32)
    scales, steps = random.random(16) + 0.5, random.random((16, 5))
    found = in_steps(weights, scales, groups)
    for output in range(8):
        start = output // (8 // groups) * (16 // groups)
        part = slice(start, start + 16 // groups)
        expected = weights[output, :, 0, 0] @ (steps * scales[:, None])[part]
        assert np.allclose(found[output, :, 0, 0] @ steps[part], expected)


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
