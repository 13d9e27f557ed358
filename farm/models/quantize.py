"""Writing a model in fp16, and refusing graphs whose result changes with the batch.

Not for: int8 (`farm.models.int8`), or whether a copy is good enough (`farm.models.optimize`).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.models.kept_weights import put_back, unused_weights
from farm.models.trials import Feeds

_BATCH_TOLERANCE = 1e-3
"""Of the output's range."""
_LOUD = 20.0
"""How many times the values of its companion in a batch exceed an item's own."""


def write_fp16(source: Path, target: Path) -> None:
    """Write `source` with 16-bit weights and sums; what it takes and gives stays 32 bits.

    Raises:
        ModelError: The graph cannot be converted.
    """
    float16 = _tool("onnxruntime.transformers.float16")
    try:
        model = onnx.load(str(source))
        unused = unused_weights(model)
        model = float16.convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise ModelError(f"{source} cannot be converted to fp16: {error}") from error
    put_back(model, unused)
    onnx.save(model, str(target))


def require_batch_independent(path: Path, session: Any, feeds: Feeds) -> None:
    """Refuse a graph whose result for one item changes with the others of its batch.

    Args:
        path: The graph.
        session: A session of it.
        feeds: One item.

    Raises:
        ModelError: It finds scales while it runs, or an item comes out otherwise beside a loud one.
    """
    dynamic = _dynamic_nodes(onnx.load(str(path), load_external_data=False))
    if dynamic:
        raise ModelError(
            f"{path}: its result for one face changes with the batch ({', '.join(dynamic)} find "
            "scales while it runs): take a float model, and optimise that"
        )
    if any(isinstance(each.shape[0], int) for each in session.get_inputs()):
        return
    try:
        change = _change_in_batch(session, feeds)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} says it takes any batch, but fails with two: {reason}") from error
    if change > _BATCH_TOLERANCE:
        raise ModelError(
            f"{path}: its result for one face changes with the batch (by {change:.1%} of its "
            "range): take another model"
        )


def _dynamic_nodes(model: onnx.ModelProto) -> list[str]:
    """Kinds of nodes that find scales from what they are given."""
    return sorted({node.op_type for node in model.graph.node if "Dynamic" in node.op_type})


def _change_in_batch(session: Any, feeds: Feeds) -> float:
    """How much an item beside itself changes beside a loud one, as a share of the outputs' range.

    Both batches have the same size: what changes with the size alone is rounding.
    """
    calm = session.run(None, {name: np.concatenate([v, v]) for name, v in feeds.items()})
    loud = session.run(None, {name: np.concatenate([v, v * _LOUD]) for name, v in feeds.items()})
    pairs = [(a[:1], b[:1]) for a, b in zip(calm, loud, strict=True) if a.shape[0] == 2]
    return max((_relative(a, b) for a, b in pairs), default=0.0)


def _relative(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    span = float(np.ptp(ours)) or 1.0
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()) / span


def _tool(name: str) -> Any:
    """One of onnxruntime's tools; they add a folder to the import path, which is left as it was."""
    before = list(sys.path)
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before
