"""The workers of a job on whatever Ray there is: on a cluster they need no shared disk.

Not for: which workers there are (`scheduler.workers`) or what they do (`actors.pool`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from actors.keeper import start_keeper
from actors.pool import WorkerPool
from cluster.models import send_models
from cluster.newcomers import NewcomerPlanner
from cluster.plan import JobPlan
from cluster.runtime import RayRuntime
from farm.chunk_task import RenderSetup
from farm.errors import ClusterError
from farm.faces.casting import CastRows
from farm.files import mark_folder, unmark_folder
from farm.models.shipped import model_set
from farm.node.facts import Questions
from scheduler.workers import WorkerPlan

_END_S = 10.0


@contextmanager
def crew(
    runtime: RayRuntime,
    plan: JobPlan,
    setup: RenderSetup,
    rows: CastRows | None,
    questions: Questions | None,
    note: Callable[[str], None],
    progress: Callable[[str], None],
) -> Iterator[WorkerPool]:
    """Start the workers; on a cluster send models ahead and keep what workers send back.

    Args:
        runtime: Ray, entered.
        plan: What was planned.
        setup: What the workers must know.
        rows: The face table, None without one.
        questions: What nodes that join meanwhile are asked; None to leave them alone.
        note: Told what is to be said of the job.
        progress: Told what is going on.

    Raises:
        ClusterError: No node can be used.
    """
    if runtime.is_private:
        with WorkerPool(setup, plan.workers, rows) as pool:
            yield pool
        return
    models = model_set(plan.faces.job.models, plan.faces.files)
    nodes = list(dict.fromkeys(seat.node_id for seat in plan.workers.seats))
    workers = without_nodes(plan.workers, send_models(nodes, models, progress), note)
    mark = mark_folder(setup.chunk_dir)
    keeper = start_keeper([d for d in (setup.chunk_dir, setup.frames_dir) if d is not None])
    try:
        setup = replace(setup, models=models, folder_mark=mark)
        planner = None
        if questions is not None:
            planner = NewcomerPlanner(
                plan=plan, questions=questions, models=models, home=runtime.home
            )
        with WorkerPool(
            setup,
            workers,
            rows,
            keeper,
            ask=None if planner is None else planner.ask,
            known=[offer.node_id for offer in plan.inventory.offers],
            say=note,
        ) as pool:
            yield pool
    finally:
        _end(keeper)
        unmark_folder(setup.chunk_dir)


def without_nodes(
    plan: WorkerPlan, problems: dict[str, str], note: Callable[[str], None]
) -> WorkerPlan:
    """Return the plan without the seats on nodes that have a problem, and say which.

    Raises:
        ClusterError: No seat is left.
    """
    names = {seat.node_id: seat.node for seat in plan.seats}
    lines = [f"node {names[node]} is left out: {problem}" for node, problem in problems.items()]
    seats = tuple(seat for seat in plan.seats if seat.node_id not in problems)
    if not seats:
        raise ClusterError(f"no node can be used: {'; '.join(lines)}")
    for line in lines:
        note(line)
    return replace(plan, seats=seats)


def _end(keeper: Any) -> None:
    """Let the keeper delete what has not arrived whole, and end it."""
    with suppress(RayError):  # It is gone: the next run of the job clears its folder.
        ray.get(keeper.close.remote(), timeout=_END_S)
    ray.kill(keeper)
