"""Nodes that join while a job runs: asked, given the job's models, and workers as the plan would.

Not for: when they are asked (`actors.node_watch`) or planning at the start (`cluster.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from actors.node_watch import Newcomer
from actors.trials import start_trials
from cluster.inventory import inventory_of
from cluster.models import send_models
from cluster.plan import JobPlan
from farm.models.shipped import ModelSet
from farm.node.facts import Questions
from farm.settings import EncodeOn
from scheduler.workers import NodeOffer, WorkerCost, WorkerWish, hardware, plan_workers, unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcomerPlanner:
    """Plans the workers of nodes that join one job."""

    plan: JobPlan
    questions: Questions
    """What each node was asked when the job was planned."""
    models: ModelSet
    home: str
    """Id of the driver's node."""

    def ask(self, node_id: str, workers: int) -> Newcomer:
        """Ask a node and say which workers it is to have.

        Args:
            node_id: The node.
            workers: How many the job has now.

        Raises:
            ClusterError: It is gone again, or does not answer.
        """
        offer = inventory_of(node_id, self.questions)
        name = offer.facts.name
        wish = newcomer_wish(self.plan, offer, workers)
        if wish is None:
            return Newcomer(said=f"node {name} joined and is not needed: --workers are there")
        reason = unfit(offer, wish) or self._encoder_problem(node_id)
        if not reason:
            problems = send_models([node_id], self.models, lambda _: None)
            reason = problems.get(node_id, "")
        if reason:
            return Newcomer(said=f"node {name} joined and is not used: {reason}")
        seats = plan_workers([offer], wish).seats
        return Newcomer(seats=seats, said=f"node {name} joined: {len(seats)} more at work")

    def _encoder_problem(self, node_id: str) -> str:
        """Say why chunks that are encoded there would not join the others, nothing if they do."""
        encoding, choice = self.plan.encoding, self.plan.chunk_encoder
        if encoding.encode_on is EncodeOn.FINAL or not choice.family:
            return ""  # software is part of the library, whose version is the same everywhere
        trials = start_trials((choice,), self.plan.output, (node_id,), self.home)
        (trial,) = trials.results()[node_id]
        if trial.problem is not None:
            return f"{choice.encoder} {trial.problem}"
        if encoding.parameter_sets and trial.parameter_sets != encoding.parameter_sets:
            return f"{choice.encoder} writes other parameter sets there, so its chunks do not join"
        return ""


def newcomer_wish(plan: JobPlan, offer: NodeOffer, workers: int) -> WorkerWish | None:
    """Return what the job asks of a node that has joined, None where it has all that it asked for.

    Args:
        plan: The job.
        offer: The node.
        workers: How many the job has now.
    """
    wish = replace(plan.wish, costs=_cost_of(plan, offer))
    if wish.same_provider and wish.networks:
        wish = replace(wish, provider=plan.workers.providers[0])
    if wish.workers is None:
        return wish
    missing = wish.workers - workers
    return replace(wish, workers=missing) if missing > 0 else None


def _cost_of(plan: JobPlan, offer: NodeOffer) -> dict[str, WorkerCost]:
    """Return what a worker takes there, where calibration has measured a node of this kind."""
    for known in plan.inventory.offers:
        if known.node_id in plan.wish.costs and hardware(known) == hardware(offer):
            return {offer.node_id: plan.wish.costs[known.node_id]}
    return {}
