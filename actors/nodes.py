"""Which nodes of the cluster live, and which are to be left: asked of Ray now and then.

Not for: what a node has (`cluster.inventory`).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

import ray
from ray._private import state as ray_state

_CONNECT_S = 2.0
_STORE = "object_store_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNews:
    """What Ray says of the nodes."""

    living: frozenset[str] = field(default_factory=frozenset)
    """Numbers of the nodes that live; empty where nobody can tell."""
    draining: frozenset[str] = field(default_factory=frozenset)
    """Those that are to be left soon."""
    head_answers: bool = True
    """Whether the cluster's head does; where it does not, nothing else is known."""


def read_nodes() -> NodeNews:
    """Ask Ray, unless its head is gone: then Ray waits for it, and ends this process in the end."""
    if not _head_answers():
        return NodeNews(head_answers=False)
    entries: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return NodeNews(
        living=frozenset(entry["NodeID"] for entry in entries if entry["Alive"]),
        draining=frozenset(ray_state.state.get_draining_nodes()),
    )


def _head_answers() -> bool:
    address: str = ray.get_runtime_context().gcs_address
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S):
            return True
    except OSError:
        return False


def store_bytes() -> int:
    """Return the size of the object store of this process's node."""
    here = ray.get_runtime_context().get_node_id()
    entries: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    sizes = [int(e["Resources"].get(_STORE, 0)) for e in entries if e["NodeID"] == here]
    return sizes[0] if sizes else 0


def has_room(gpus: float) -> bool:
    """Tell whether some node has a CPU slot free, and this share of a GPU."""
    nodes = ray_state.available_resources_per_node()  # type: ignore[no-untyped-call]
    return any(free.get("CPU", 0) >= 1 and free.get("GPU", 0) >= gpus for free in nodes.values())
