"""The dispatch core: random stories, with its invariants checked after every event."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.scheduler.world import make_world


def _random_walk(data: st.DataObject, most_events: int) -> None:
    joins = data.draw(st.lists(st.booleans(), min_size=1, max_size=12), label="joins its lane")
    lanes: list[int] = []
    for i, joined in enumerate(joins):
        lanes.append(lanes[-1] if joined and lanes else i)
    keep = data.draw(st.booleans(), label="keep")
    world = make_world(lanes, workers=data.draw(st.integers(1, 4), label="workers"),
                       keep_failed=keep, stall_s=5.0, first_stall_s=20.0)  # fmt: skip
    number = len(world.orders)
    for _ in range(data.draw(st.integers(0, most_events), label="events")):
        if world.failed or world.dispatch.finished:
            break
        if world.to_start and (not world.orders or data.draw(st.booleans(), label="comes up")):
            world.to_start -= 1
            world.up(number)
            number += 1
            continue
        if not world.orders:
            break
        if data.draw(st.integers(0, 3), label="time passes") == 0:
            world.wait(data.draw(st.sampled_from([0.1, 1.0, 30.0]), label="seconds"))
            continue
        worker = data.draw(st.sampled_from(sorted(world.orders)), label="worker")
        fate = data.draw(st.integers(0, 19), label="fate")
        if not world.orders[worker] or fate < 2:
            world.lose(worker, by_node=fate == 0)
            continue
        if fate == 2:
            world.drain(worker)
            continue
        place = data.draw(st.integers(0, len(world.orders[worker]) - 1), label="place")
        order = world.orders[worker][place]
        events: list[Callable[[int, int], object]] = [
            world.finish, world.finish, world.fail, world.miss]  # fmt: skip
        if order.after is not None:
            events.append(world.close)
        if not order.proven:
            events.append(world.false_keyframe)
        data.draw(st.sampled_from(events), label="event")(worker, place)
    if not world.failed:
        world.up(number)
        world.finish_all()
        assert world.done == {chunk.chunk_index for chunk in world.chunks}


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_every_chunk_is_done_or_the_job_fails_whatever_happens(data: st.DataObject) -> None:
    _random_walk(data, 40)


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
@given(data=st.data())
@settings(
    max_examples=8000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_every_chunk_is_done_or_the_job_fails_in_long_stories_too(data: st.DataObject) -> None:
    _random_walk(data, 150)
