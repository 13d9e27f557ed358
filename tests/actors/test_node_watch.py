from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from actors.node_watch import Newcomer, NodeWatch
from actors.nodes import NodeNews
from farm.errors import ClusterError, JobError


class Nodes:
    """Nodes that come and go as a test says, and what was asked of them."""

    def __init__(self, *names: str) -> None:
        self.living = frozenset(names)
        self.draining: frozenset[str] = frozenset()
        self.asked: list[tuple[str, int]] = []
        self.gone = ""
        self.may_answer = Event()
        self.may_answer.set()

    def read(self) -> NodeNews:
        return NodeNews(living=self.living, draining=self.draining)

    def ask(self, node: str, workers: int) -> Newcomer:
        self.asked.append((node, workers))
        self.may_answer.wait()
        if node == self.gone:
            raise ClusterError("it is gone again")
        return Newcomer(said=f"{node} joined")


@pytest.fixture
def seconds() -> Iterator[float]:
    return iter(float(number) for number in range(0, 1000, 10))


def answers(watch: NodeWatch) -> list[str]:
    while watch.is_asking and not (found := watch.answers()):
        watch.wait(10)
    return [each.said for each in found]


def test_a_node_that_was_not_there_before_is_asked_once(seconds: Iterator[float]) -> None:
    nodes = Nodes("a", "b")
    watch = NodeWatch(nodes.read, nodes.ask, (), now=lambda: next(seconds))
    watch.look()
    assert watch.ask_newcomers(2) == 0
    nodes.living |= {"c"}
    watch.look()
    assert [watch.ask_newcomers(2), watch.ask_newcomers(2)] == [1, 0]
    assert answers(watch) == ["c joined"]
    assert nodes.asked == [("c", 2)]
    assert not watch.is_asking


def test_a_node_that_joined_while_the_job_was_planned_is_asked_at_the_first_look(
    seconds: Iterator[float],
) -> None:
    nodes = Nodes("a", "late")
    watch = NodeWatch(nodes.read, nodes.ask, ["a"], now=lambda: next(seconds))
    watch.look()
    assert watch.ask_newcomers(1) == 1
    assert answers(watch) == ["late joined"]


def test_a_node_that_does_not_answer_is_named_and_nothing_else_follows(
    seconds: Iterator[float],
) -> None:
    nodes = Nodes("a")
    nodes.gone = "c" * 56
    watch = NodeWatch(nodes.read, nodes.ask, ["a"], now=lambda: next(seconds))
    nodes.living |= {nodes.gone}
    watch.look()
    watch.ask_newcomers(1)
    assert answers(watch) == ["node cccccccc joined and is not used: it is gone again"]


def test_nobody_waits_for_a_node_that_is_being_asked(seconds: Iterator[float]) -> None:
    nodes = Nodes("a", "slow")
    nodes.may_answer.clear()
    watch = NodeWatch(nodes.read, nodes.ask, ["a"], now=lambda: next(seconds))
    watch.look()
    watch.ask_newcomers(1)
    assert watch.answers() == []
    assert watch.is_asking
    nodes.may_answer.set()
    assert answers(watch) == ["slow joined"]


def test_a_node_that_is_to_be_left_is_no_newcomer_and_no_place_for_workers(
    seconds: Iterator[float],
) -> None:
    nodes = Nodes("a", "b")
    nodes.draining = frozenset("b")
    watch = NodeWatch(nodes.read, nodes.ask, ["a"], now=lambda: next(seconds))
    watch.look()
    assert watch.ask_newcomers(1) == 0
    assert watch.living == {"a"}


def test_ray_is_not_asked_more_often_than_every_two_seconds() -> None:
    moments = iter([0.0, 1.9, 2.0])
    watch = NodeWatch(NodeNews, None, (), now=lambda: next(moments))
    assert [watch.look() is None for _ in range(3)] == [False, True, False]


def test_a_head_that_is_gone_for_long_ends_the_job_and_a_short_silence_does_not() -> None:
    moments = iter([0.0, 5.0, 10.0, 15.0, 30.0, 35.0])
    heads = iter([True, False, True, False, False, False])
    watch = NodeWatch(
        lambda: NodeNews(head_answers=next(heads)), None, (), now=lambda: next(moments)
    )
    assert [watch.look() is None for _ in range(5)] == [False, True, False, True, True]
    with pytest.raises(JobError, match="has not answered for 20 s; finished chunks are kept"):
        watch.look()
