"""Sending a job's model files to the nodes that lack them, once per node, through the object store.

Not for: whether a file may be believed (`farm.models.trust`) or where a node keeps it
(`farm.models.shipped`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from cluster.inventory import ask_nodes
from farm.models.shipped import ModelSet, ShippedModel, keep_model, missing_models

_PIECE_BYTES = 32 << 20


def send_models(
    node_ids: Sequence[str], models: ModelSet, progress: Callable[[str], None]
) -> dict[str, str]:
    """See that every node has every file.

    Args:
        node_ids: Each node once.
        models: The files, which this machine has.
        progress: Told what is sent.

    Returns:
        By node, why it does not have them; empty where all have.
    """
    if not models.models:
        return {}
    answers = dict(zip(node_ids, ask_nodes(node_ids, missing_models, models), strict=True))
    problems = {node: said for node, said in answers.items() if isinstance(said, str)}
    for model in models.models:
        lacking = [
            node for node, said in answers.items() if node not in problems and model.sha256 in said
        ]
        if lacking:
            progress(f"sending {Path(model.relative).name} to {len(lacking)} nodes")
            problems |= _send(lacking, model)
    return problems


def _send(node_ids: Sequence[str], model: ShippedModel) -> dict[str, str]:
    """Send one file; its pieces leave the store when all nodes have it."""
    pieces = [ray.put(piece) for piece in _pieces(model.source)]
    answers = ask_nodes(node_ids, _receive, model.sha256, pieces)
    return {n: said for n, said in zip(node_ids, answers, strict=True) if said is not None}


def _receive(sha256: str, pieces: Sequence[Any]) -> None:
    """Fetch the pieces one by one on the node that this runs on, and keep the file."""
    keep_model(sha256, (ray.get(piece) for piece in pieces))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
