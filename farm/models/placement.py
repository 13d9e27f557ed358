"""Where the nodes of a graph really run: a provider that leaves most of them to the CPU is refused.

Not for: whether a provider loads at all (`farm.models.session`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from farm.errors import ProviderError

RECORD_PLACEMENT = "session.record_ep_graph_assignment_info"
"""Entry of the session's configuration that makes onnxruntime remember it."""
_CPU = "CPUExecutionProvider"
_MOST_ON_CPU = 0.5
_CHEAP = frozenset({"Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Range"})
"""Arithmetic on shapes, which providers leave to the CPU on purpose."""


def nodes_by_provider(session: Any) -> Counter[str]:
    """How many nodes, arithmetic on shapes left out, each provider took.

    A provider that compiles a part of a graph counts with the nodes of that part.
    """
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += sum(node.op_type not in _CHEAP for node in part.get_nodes())
    return counts


def runs_wholly_on(session: Any, provider: str) -> bool:
    """Whether the provider of this full name took every node, arithmetic on shapes included.

    Args:
        session: Opened with `RECORD_PLACEMENT`.
        provider: Full name.
    """
    return all(part.ep_name == provider for part in session.get_provider_graph_assignment_info())


def require_placement(session: Any, provider: str, model: str) -> None:
    """Refuse a session whose provider left most of the graph to the CPU.

    Args:
        session: Opened with `RECORD_PLACEMENT`.
        provider: Short name of the provider that was asked for.
        model: What messages call the model.

    Raises:
        ProviderError: It did.
    """
    counts = nodes_by_provider(session)
    total = sum(counts.values())
    if provider == "cpu" or not total or counts[_CPU] <= _MOST_ON_CPU * total:
        return
    raise ProviderError(
        f"--execution-provider {provider}: {counts[_CPU]} of {total} nodes of {model} would run on "
        "the CPU: take a model of other operators (fp32 where it is int8), a newer onnxruntime, "
        "or --execution-provider cpu"
    )
