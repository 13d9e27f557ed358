from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from actors.node_watch import Newcomer
from cluster import newcomers
from cluster.inventory import Inventory
from cluster.newcomers import NewcomerPlanner, newcomer_wish
from cluster.plan import JobPlan
from farm.models.shipped import ModelSet
from farm.node.facts import Questions
from scheduler.workers import NodeOffer, WorkerCost, WorkerWish, plan_workers
from tests.cluster.test_plan import plan as planned
from tests.media_maker import Studio
from tests.scheduler.offers import GIB, gpu, node


@pytest.fixture
def job(media_studio: Studio) -> JobPlan:
    """A job for networks on a node with a GPU."""
    made = planned(media_studio.path("plain.mp4"), chunk_seconds=0.3)
    offers = (node("first", cores=32, gpus=(gpu(),)),)
    wish = WorkerWish(chunks=len(made.chunks))
    workers = plan_workers(offers, wish)
    return replace(made, inventory=Inventory(offers=offers), wish=wish, workers=workers)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Newcomer]:
    """Asks a made-up node, which gets its models as `problem` says."""

    def asking(job: JobPlan, offer: NodeOffer, workers: int = 1, problem: str = "") -> Newcomer:
        problems = {offer.node_id: problem} if problem else {}
        monkeypatch.setattr(newcomers, "inventory_of", lambda *_: offer)
        monkeypatch.setattr(newcomers, "send_models", lambda *_: problems)
        planner = NewcomerPlanner(
            plan=job,
            questions=Questions(providers=None, encoders=()),
            models=ModelSet(models=()),
            home="id-first",
        )
        return planner.ask(offer.node_id, workers)

    return asking


def test_a_node_that_joins_gets_the_workers_that_the_plan_would_have_given_it(
    job: JobPlan, ask: Callable[..., Newcomer]
) -> None:
    offer = node("new", cores=32)
    found = ask(job, offer)
    assert found.seats == plan_workers([offer], job.wish).seats
    assert len(found.seats) == 4
    assert found.said == "node new joined: 4 more at work"


def test_no_more_workers_are_started_than_the_user_asked_for(
    job: JobPlan, ask: Callable[..., Newcomer]
) -> None:
    three = replace(job, wish=replace(job.wish, workers=3))
    assert len(ask(three, node("new", cores=32), workers=1).seats) == 2
    full = ask(three, node("new", cores=32), workers=3)
    assert full == Newcomer(said="node new joined and is not needed: --workers are there")


def test_a_node_with_another_provider_is_left_alone_where_all_must_have_the_same(
    job: JobPlan, ask: Callable[..., Newcomer]
) -> None:
    same = replace(job, wish=replace(job.wish, same_provider=True))
    found = ask(same, node("new"))
    assert found.seats == ()
    assert found.said == "node new joined and is not used: cuda is not there"
    assert ask(same, node("new", gpus=(gpu(),))).seats[0].provider == "cuda"


def test_a_node_that_cannot_work_is_named_with_its_reason(
    job: JobPlan, ask: Callable[..., Newcomer]
) -> None:
    other = ask(job, node("new", problem="numpy 1 there, 2 here"))
    assert (other.seats, other.said[-21:]) == ((), "numpy 1 there, 2 here")
    assert ask(job, node("new"), problem="its disk is full").said.endswith("its disk is full")


def test_what_was_measured_on_a_node_of_the_same_kind_holds_for_the_new_one(job: JobPlan) -> None:
    cost = WorkerCost(memory_bytes=GIB, gpu_memory_bytes=GIB, gpu_utilisation=0.3)
    measured = replace(job, wish=replace(job.wish, costs={"id-first": cost}))
    alike: Any = newcomer_wish(measured, node("new", cores=32, gpus=(gpu(),)), 1)
    assert alike.costs == {"id-new": cost}
    other: Any = newcomer_wish(measured, node("new", cores=4), 1)
    assert other.costs == {}
