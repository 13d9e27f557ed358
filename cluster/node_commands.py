"""`facefarm nodes`: what each node of a cluster, or this machine, really has.

Not for: what is missing here and how to mend it (`facefarm doctor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from cluster.runtime import RayRuntime
from farm.command import CommandResult
from farm.node.facts import Questions, Trial
from farm.options import Option
from farm.summary import size
from scheduler.workers import NodeOffer


def nodes(
    *,
    address: Annotated[
        str | None, Option(unset="this machine alone", help="Ray cluster to ask.")
    ] = None,
) -> CommandResult:
    """Ask every node for what passes a trial there."""
    with RayRuntime(address, None) as runtime:
        inventory = runtime.inventory(Questions())
    lines = [line for offer in inventory.offers for line in _lines(offer)]
    return CommandResult(
        document={"nodes": inventory.offers, "notes": inventory.notes},
        lines=[*lines, *inventory.notes],
    )


def _lines(offer: NodeOffer) -> Iterator[str]:
    """Say of one node what people want to know."""
    facts = offer.facts
    memory, disk = size(facts.memory_bytes), size(facts.disk_free_bytes)
    yield f"{facts.name}: {facts.cores} cores, {memory} memory, {disk} free disk"
    yield f"  Ray gives {offer.slots:g} CPU slots and {offer.gpus:g} GPUs"
    if facts.problem:
        yield f"  cannot render: {facts.problem}"
        return
    for gpu in facts.gpus:
        free = f"{size(gpu.free_bytes)} of {size(gpu.memory_bytes)} free"
        yield f"  GPU {gpu.device}: {gpu.name}, {free}, driver {gpu.driver}"
    yield f"  providers: {_passed(facts.providers)}"
    yield f"  encoders: {_passed(facts.encoders)}"
    for trial in (*facts.providers, *facts.encoders, facts.ffmpeg):
        if not trial.works:
            yield f"  not {trial.name}: {trial.problem}"


def _passed(trials: Iterable[Trial]) -> str:
    return ", ".join(trial.name for trial in trials if trial.works) or "none"
