from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from farm.errors import ProviderError
from farm.models.placement import RECORD_PLACEMENT, nodes_by_provider, require_placement
from tests.model_maker import make_painter

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def placed(**operators: list[str]) -> Any:
    """A session that says which provider took which operators."""
    parts = [
        SimpleNamespace(ep_name=name, get_nodes=lambda kinds=kinds: [_node(k) for k in kinds])
        for name, kinds in operators.items()
    ]
    return SimpleNamespace(get_provider_graph_assignment_info=lambda: parts)


def _node(kind: str) -> Any:
    return SimpleNamespace(op_type=kind, name="", domain="")


def test_onnxruntime_tells_which_provider_took_how_many_nodes(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    path = str(make_painter(tmp_path / "m.onnx"))
    session = onnxruntime.InferenceSession(path, options, providers=[CPU])
    counts = nodes_by_provider(session)
    assert list(counts) == [CPU]
    assert counts[CPU] >= 6  # the convolutions


def test_a_graph_that_falls_back_for_the_most_part_is_refused_with_the_fix() -> None:
    session = placed(**{CUDA: ["Conv"], CPU: ["QLinearConv"] * 3})
    with pytest.raises(ProviderError, match=r"3 of 4 nodes of a\.onnx would run on the CPU"):
        require_placement(session, "cuda", "a.onnx")


def test_arithmetic_on_shapes_may_stay_on_the_cpu() -> None:
    session = placed(**{CUDA: ["Conv", "Relu"], CPU: ["Shape", "Gather", "Concat"] * 9})
    require_placement(session, "cuda", "a.onnx")


def test_a_job_on_the_cpu_may_use_it() -> None:
    require_placement(placed(**{CPU: ["Conv"]}), "cpu", "a.onnx")
