"""Detection graphs that were exported for one picture, rewritten so that they take many at once.

The rewrite is believed only when its results for several pictures are those of one at a time.
Not for: what the outputs mean (`farm.faces.scrfd`, `farm.faces.yunet`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.models.session import SessionSettings, open_session

log = logging.getLogger(__name__)

_PICTURES = 3
_SIDE_PX = 160
_NEAR = 1e-3
"""How far a device's results may be apart; on CPUs they are equal."""
_PLACE_LAST = ([2, 3, 0, 1], [0, 2, 3, 1])
"""Orders in which exports put the values of a cell last; the second keeps pictures apart."""


def open_detector_session(path: Path, settings: SessionSettings) -> Any:
    """A session of a detection network, of its rewrite where that is sound.

    Raises:
        ModelError: The file cannot be read or is no ONNX model.
        ProviderError: The provider is not there or did not load.
    """
    session = open_session(path, settings)
    shapes = [each.shape for each in (*session.get_inputs(), *session.get_outputs())]
    if all(not isinstance(shape[0], int) for shape in shapes):
        return session
    try:
        model = with_open_batch(path)
        rewritten = None if model is None else open_session(model, settings)
        sound = rewritten is not None and _agrees(session, rewritten, exact=not settings.on_device)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, there is the graph as it is
        log.debug("%s: its rewrite for batches does not run: %s", path, error)
        return session
    if not sound:
        log.debug("%s: takes one picture at a time", path)
    return rewritten if sound else session


def with_open_batch(path: Path) -> bytes | None:
    """The graph with its batch left open, [n, rows, values] out; None where it is built oddly."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    taken = [each for each in graph.input if each.name not in {w.name for w in graph.initializer}]
    for output in graph.output:
        values = output.type.tensor_type.shape.dim[-1].dim_value
        if values < 1 or not _open_output(graph, makers, output.name, values):
            return None
        del output.type.tensor_type.shape.dim[:]
        for length in ("n", f"rows_{output.name}", values):
            dim = output.type.tensor_type.shape.dim.add()
            if isinstance(length, int):
                dim.dim_value = length
            else:
                dim.dim_param = length
    for each in taken:
        each.type.tensor_type.shape.dim[0].dim_param = "n"
    del graph.value_info[:]
    return bytes(model.SerializeToString())


def _open_output(graph: Any, makers: dict[str, Any], name: str, values: int) -> bool:
    """Let the reshaping before an output keep pictures apart; False where it is not as expected."""
    from onnx import numpy_helper

    node = makers.get(name)
    while node is not None and node.op_type == "Sigmoid":
        node = makers.get(node.input[0])
    if node is None or node.op_type != "Reshape":
        return False
    turn = makers.get(node.input[0])
    if turn is None or turn.op_type != "Transpose":
        return False
    order = next((a for a in turn.attribute if a.name == "perm"), None)
    if order is None or list(order.ints) not in _PLACE_LAST:
        return False
    order.ints[:] = _PLACE_LAST[1]
    shape = f"{name}_rows"
    graph.initializer.append(numpy_helper.from_array(np.array([0, -1, values], np.int64), shape))
    node.input[1] = shape
    return True


def _agrees(session: Any, rewritten: Any, *, exact: bool) -> bool:
    """Whether the rewrite gives for several pictures what the graph gives for one at a time."""
    told = session.get_inputs()[0]
    sides = [n if isinstance(n, int) and n > 0 else _SIDE_PX for n in told.shape[2:]]
    shape = (_PICTURES, told.shape[1], *sides)
    pictures = np.random.default_rng(0).random(shape, np.float32) * 2 - 1
    at_once = rewritten.run(None, {told.name: pictures})
    for i in range(_PICTURES):
        alone = session.run(None, {told.name: pictures[i : i + 1]})
        if not all(_same(a, b[i], exact) for a, b in zip(alone, at_once, strict=True)):
            return False
    return True


def _same(alone: NDArray[Any], one_of_many: NDArray[Any], exact: bool) -> bool:
    alone = alone.reshape(one_of_many.shape)
    if exact:
        return np.array_equal(alone, one_of_many)
    return bool(np.allclose(alone, one_of_many, rtol=_NEAR, atol=_NEAR))
