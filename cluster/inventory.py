"""What the nodes of a cluster really have: each is asked by a task that runs on it.

Not for: deciding on workers (`scheduler.workers`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import ClusterError
from farm.node.examine import decisive_versions, examine_node
from farm.node.facts import DECISIVE, NodeFacts, Questions
from farm.settings import RenderSettings
from scheduler.workers import NodeOffer

Answer = TypeVar("Answer")
_ANSWER_S = 120.0
_CLOCK_S = 5.0
"""Clocks that differ by less are called equal; nothing depends on them, only logs do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The nodes, and what is to be said of them."""

    offers: tuple[NodeOffer, ...]
    notes: tuple[str, ...] = ()


def questions_for(settings: RenderSettings) -> Questions:
    """Return what must be tried on a node before it may render this."""
    asked, idle = settings.execution_provider, set(settings.processors.names) <= {"none"}
    providers = None if asked is None else (asked.casefold(),)
    if idle:
        providers = ("cpu",)
    # Encoders are tried apart, at the size of the video: see `cluster.encoding`.
    return Questions(providers=providers, encoders=())


def local_inventory(questions: Questions) -> Inventory:
    """Ask this machine, the only node of a private Ray.

    Without a GPU it is asked in this process. With one, in a process that ends afterwards, as
    trying a GPU takes memory there.
    """
    (entry,) = _living()
    if entry["Resources"].get("GPU"):
        return _inventory([entry], ask_nodes([entry["NodeID"]], examine_node, questions))
    return _inventory([entry], [examine_node(questions)])


def cluster_inventory(questions: Questions) -> Inventory:
    """Ask every living node of the cluster.

    Raises:
        ClusterError: No node answers, or none runs what this machine does.
    """
    entries = _living()
    return _inventory(
        entries, ask_nodes([entry["NodeID"] for entry in entries], examine_node, questions)
    )


def inventory_of(node_id: str, questions: Questions) -> NodeOffer:
    """Ask one node of the cluster.

    Raises:
        ClusterError: It does not live, or does not answer.
    """
    entries = [entry for entry in _living() if entry["NodeID"] == node_id]
    if not entries:
        raise ClusterError("it is gone again")
    (offer,) = _inventory(entries, ask_nodes([node_id], examine_node, questions)).offers
    return offer


def _living() -> list[dict[str, Any]]:
    """Return Ray's own entries of the nodes that live."""
    return [entry for entry in ray.nodes() if entry["Alive"]]  # type: ignore[no-untyped-call]


def ask_nodes(
    node_ids: Sequence[str], work: Callable[..., Answer], *arguments: object
) -> list[Answer | str]:
    """Call a function on each node, in a process that ends afterwards.

    Returns:
        For each node what the function returned, or in one line why there is no answer.
    """
    remote: Any = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(work)
    refs = [
        remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        ).remote(*arguments)
        for node_id in node_ids
    ]
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=_ANSWER_S)
    return [_answer(ref) if ref in ready else "it does not answer" for ref in refs]


def _answer(ref: Any) -> Any:
    """Return what a node said, or in one line why it could not."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        cause = getattr(error, "cause", None) or error
        text = " ".join(str(cause).split()) or type(cause).__name__
        return f"asking it failed ({text[:200]})"
    except RayError as error:
        return f"it is lost ({type(error).__name__})"


def _inventory(entries: Sequence[dict[str, Any]], answers: Sequence[NodeFacts | str]) -> Inventory:
    """Put Ray's entries and the nodes' answers together."""
    offers, notes = [], []
    for entry, answer in zip(entries, answers, strict=True):
        if isinstance(answer, str):
            notes.append(f"node {entry['NodeManagerHostname']} is left out: {answer}")
            continue
        notes += node_notes(answer, time.time())
        offers.append(_offer(entry, answer))
    if not offers:
        raise ClusterError(f"no node can be used: {'; '.join(notes) or 'there is none'}")
    return Inventory(offers=tuple(offers), notes=tuple(notes))


def _offer(entry: dict[str, Any], facts: NodeFacts) -> NodeOffer:
    """Return what a job may have of a node; other versions than ours are a problem of it."""
    problem = facts.problem or version_problem(decisive_versions(), facts.versions)
    return NodeOffer(
        node_id=entry["NodeID"],
        facts=replace(facts, problem=problem),
        slots=float(entry["Resources"].get("CPU", 0)),
        gpus=float(entry["Resources"].get("GPU", 0)),
    )


def version_problem(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Say which versions on a node differ from this machine's in a way that pixels could show."""
    differing = [
        f"{name} {theirs.get(name, 'none')} there, {ours.get(name, 'none')} here"
        for name in ("facefarm", *DECISIVE)
        if theirs.get(name) != ours.get(name)
    ]
    return f"{', '.join(differing)}; install the same requirements on both" if differing else ""


def node_notes(facts: NodeFacts, now_s: float) -> list[str]:
    """Return what is to be said of a node that does not keep it from rendering.

    Args:
        facts: What it said, just before `now_s`.
        now_s: Seconds since 1970 by this machine's clock.
    """
    notes = []
    ahead_s = facts.clock_s - now_s
    if abs(ahead_s) > _CLOCK_S:
        notes.append(
            f"the clock of node {facts.name} is {abs(ahead_s):.0f} s "
            f"{'ahead' if ahead_s > 0 else 'behind'}: only the times in its logs are off"
        )
    if facts.gpu_problem:
        notes.append(f"node {facts.name}: {facts.gpu_problem}; its GPUs are not used")
    return notes + [
        f"GPU {gpu.device} of node {facts.name} is not used: {gpu.trials[0].problem}"
        for gpu in facts.gpus
        if gpu.trials and not any(trial.works for trial in gpu.trials)
    ]
