"""The dispatch core: invariants after every event, for any order of events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.chunks import Chunk
from scheduler.dispatch import (
    IN_FLIGHT,
    MAX_ATTEMPTS,
    Dispatch,
    Fail,
    Instruction,
    Render,
    StartWorker,
)
from tests.scheduler.made_up import made_up_chunks


@dataclass
class World:
    """Workers that answer in order, and what must hold whatever they answer."""

    chunks: list[Chunk]
    keyframes: list[int]
    orders: dict[int, list[Render]] = field(default_factory=dict)
    """By worker: what it was asked and has not answered."""
    to_start: int = 0
    done: set[int] = field(default_factory=set)
    failed: str = ""
    count: int = 0
    """Orders in all."""

    def __post_init__(self) -> None:
        self.dispatch = Dispatch(self.chunks, self.keyframes)

    def up(self, worker: int) -> None:
        self.orders.setdefault(worker, [])
        self.take(self.dispatch.worker_up(worker))

    def take(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Render(worker=worker):
                    self._check(instruction)
                    self.orders[worker].append(instruction)
                    self.count += 1
                case StartWorker():
                    self.to_start += 1
                case Fail(message=message):
                    self.failed = message
        self.check()

    def _check(self, order: Render) -> None:
        """What must hold of a new order."""
        assert order.worker in self.orders
        chunk, before = order.chunk, order.after
        assert order.packet_start <= chunk.packet_start
        assert order.packet_start == 0 or order.packet_start in self.keyframes
        assert order.packet_start > 0 or order.proven
        if before is not None:
            assert before.lane == chunk.lane
            assert before.chunk_index + 1 == chunk.chunk_index

    def check(self) -> None:
        """What must hold after every event."""
        hands = [order.chunk.chunk_index for orders in self.orders.values() for order in orders]
        assert len(hands) == len(set(hands)), "a chunk is in two hands"
        assert not self.done & set(hands), "a finished chunk is rendered again"
        assert all(len(orders) <= IN_FLIGHT for orders in self.orders.values())
        assert self.dispatch.finished == (len(self.done) == len(self.chunks))
        assert self.count <= 40 * (len(self.chunks) + 1)
        idle = [worker for worker, orders in self.orders.items() if not orders]
        if idle and not self.failed:
            rest = {c.chunk_index for c in self.chunks} - self.done - set(hands)
            lanes = {c.lane for c in self.chunks if c.chunk_index in rest}
            busy = {o.chunk.lane for orders in self.orders.values() for o in orders}
            assert lanes <= busy, "a lane waits although a worker is idle"

    def answer(
        self, worker: int, event: Callable[[int, Chunk], list[Instruction]], place: int = 0
    ) -> None:
        """Answer one of a worker's orders, the first one if not told otherwise."""
        order = self.orders[worker].pop(place)
        self.take(event(worker, order.chunk))

    def finish(self, worker: int, place: int = 0) -> Chunk:
        chunk = self.orders[worker][place].chunk
        self.done.add(chunk.chunk_index)
        self.answer(worker, self.dispatch.chunk_done, place)
        return chunk

    def false_keyframe(self, worker: int, place: int = 0) -> None:
        order = self.orders[worker].pop(place)
        packet = order.packet_start
        self.take(self.dispatch.keyframe_false(worker, order.chunk, packet))

    def fail(self, worker: int, place: int = 0) -> None:
        self.answer(worker, lambda w, c: self.dispatch.chunk_failed(w, c, "it broke"), place)

    def miss(self, worker: int, place: int = 0) -> None:
        self.answer(worker, self.dispatch.frames_missing, place)

    def close(self, worker: int, place: int = 0) -> None:
        self.answer(worker, self.dispatch.decoder_closed, place)

    def lose(self, worker: int) -> None:
        del self.orders[worker]
        self.take(self.dispatch.worker_lost(worker))

    def finish_all(self) -> list[int]:
        """Let the workers render the rest; chunk numbers in the order in which they were done."""
        order = []
        while not self.dispatch.finished and not self.failed:
            worker = next(w for w, orders in sorted(self.orders.items()) if orders)
            order.append(self.finish(worker).chunk_index)
        return order


def _world(lanes: Sequence[int], workers: int = 1, *, keyframes: Sequence[int] = ()) -> World:
    world = World(made_up_chunks(lanes), list(keyframes) or list(range(0, 10 * len(lanes), 30)))
    for worker in range(workers):
        world.up(worker)
    return world


def test_one_worker_renders_all_chunks_in_order() -> None:
    assert _world([0, 1, 2, 3, 4]).finish_all() == [0, 1, 2, 3, 4]


def test_idle_workers_are_served_before_busy_ones() -> None:
    world = _world([0, 1, 2, 3], workers=2)
    first = [orders[0].chunk.chunk_index for orders in world.orders.values()]
    assert sorted(first) != [0, 1] or len(world.orders[0]) == IN_FLIGHT
    world = World(made_up_chunks([0, 1, 2]), [0])
    world.up(0)
    world.up(1)
    assert [o.chunk.chunk_index for o in world.orders[1]] == [2]


def test_a_lane_stays_with_one_worker_and_each_chunk_goes_on_after_the_last() -> None:
    world = _world([0, 0, 0, 0, 4], workers=2)
    assert [o.chunk.chunk_index for o in world.orders[0]] == [0, 1]
    assert [o.after for o in world.orders[0]] == [None, world.chunks[0]]
    assert [o.chunk.chunk_index for o in world.orders[1]] == [4]
    world.finish(0)
    assert world.orders[0][-1].after == world.chunks[1]


def test_a_false_keyframe_is_never_used_again() -> None:
    world = _world([0, 1, 2, 3, 4, 5, 6], keyframes=[0, 30, 60])
    for _ in range(3):
        world.finish(0)
    assert world.orders[0][0].packet_start == 30
    world.false_keyframe(0)
    assert world.orders[0][-1].packet_start == 0
    starts = [world.orders[0][0].packet_start]
    while not world.dispatch.finished:
        starts.append(world.orders[0][0].packet_start)
        world.finish(0)
    assert 30 not in starts[1:] or starts.count(30) <= 2


def test_a_chunk_ordered_before_its_keyframe_proved_false_is_not_trusted_to_it_later() -> None:
    world = _world([0, 1, 2, 3, 4, 5], keyframes=[0, 30])
    for _ in range(3):
        world.finish(0)
    world.false_keyframe(0)  # chunk 3
    world.false_keyframe(0)  # chunk 4, ordered when packet 30 was still believed
    assert [o.packet_start for o in world.orders[0]] == [0, 0]


def test_missing_frames_are_sought_earlier_then_taken_with_errors_then_from_the_start() -> None:
    world = _world([*range(10)], keyframes=[0, 30, 60, 90])
    while world.orders[0][0].chunk.packet_start < 90:
        world.finish(0)
    seen = []
    first = world.orders[0][0]
    chunk = first.chunk
    seen.append((first.packet_start, first.proven))
    for _ in range(3):
        place = [o.chunk for o in world.orders[0]].index(chunk)
        world.answer(0, world.dispatch.frames_missing, place)
        again = next(o for o in world.orders[0] if o.chunk == chunk)
        seen.append((again.packet_start, again.proven))
    assert seen == [(90, False), (60, False), (60, True), (0, True)]


def test_a_chunk_that_lacks_frames_even_from_the_start_fails_the_job() -> None:
    world = _world([0])
    for _ in range(20):
        if world.failed:
            break
        world.answer(0, world.dispatch.frames_missing)
    assert "chunk 00000" in world.failed


def test_a_closed_decoder_gets_all_packets_from_the_keyframe() -> None:
    world = _world([0, 0, 0])
    assert world.orders[0][1].after is not None
    world.answer(0, world.dispatch.decoder_closed, 1)
    assert world.orders[0][1].after is None
    assert world.orders[0][1].packet_start == 0


def test_a_decoder_that_is_closed_although_nothing_counts_on_it_is_a_failure() -> None:
    world = _world([0])
    for _ in range(MAX_ATTEMPTS):
        assert not world.failed
        world.answer(0, world.dispatch.decoder_closed)
    assert world.failed


def test_a_chunk_that_keeps_failing_fails_the_job_with_its_reason() -> None:
    world = _world([0, 1])
    for attempt in range(MAX_ATTEMPTS):
        assert not world.failed
        place = [o.chunk.chunk_index for o in world.orders[0]].index(0)
        world.fail(0, place)
        if attempt < MAX_ATTEMPTS - 1 and 1 not in world.done:
            world.finish(0)
    assert world.failed == "it broke (3 attempts)"


def test_a_failed_chunk_of_a_lane_is_rendered_again_and_the_lane_goes_on() -> None:
    world = _world([0, 0, 0, 0], workers=2)
    world.fail(0, 1)  # chunk 1, queued behind chunk 0
    assert [o.chunk.chunk_index for o in world.orders[1]] == [1]
    assert all(o.after is None or o.after.chunk_index + 1 == o.chunk.chunk_index
               for orders in world.orders.values() for o in orders)  # fmt: skip
    assert sorted(world.finish_all()) == [0, 1, 2, 3]


def test_what_a_lost_worker_had_in_hand_goes_to_the_others_and_a_new_one_is_started() -> None:
    world = _world([0, 0, 0, 3], workers=2)
    world.lose(0)
    assert world.to_start == 1
    done = world.finish_all()
    assert sorted(done) == [0, 1, 2, 3]
    assert [n for n in done if n < 3] == [0, 1, 2]


def test_the_job_goes_on_when_a_lost_worker_never_comes_back() -> None:
    world = _world([*range(8)], workers=3)
    world.lose(0)
    world.lose(1)
    assert sorted(world.finish_all()) == [*range(8)]


def test_a_chunk_that_brings_workers_down_fails_the_job() -> None:
    world = _world([0, 1, 2])
    for worker in range(MAX_ATTEMPTS):
        world.up(worker)
        assert not world.failed
        world.lose(worker)
    assert "chunk 00000 (frames 0 to 10) brought 3 workers down" in world.failed


def test_workers_that_die_one_after_another_without_a_chunk_done_fail_the_job() -> None:
    world = _world([*range(40)], workers=0)
    for worker in range(MAX_ATTEMPTS * 2 + 5):
        if world.failed:
            break
        world.up(worker)
        world.lose(worker)
    assert world.failed


def test_a_double_or_late_result_changes_nothing() -> None:
    world = _world([0, 1, 2], workers=1)
    chunk = world.finish(0)
    assert world.dispatch.chunk_done(0, chunk) == []
    assert world.dispatch.chunk_failed(0, chunk, "late") == []
    assert world.dispatch.frames_missing(7, chunk) == []
    assert world.dispatch.keyframe_false(7, chunk, 0) == []
    assert world.dispatch.decoder_closed(7, chunk) == []
    assert world.dispatch.worker_lost(7) == []
    assert sorted(world.finish_all()) == [1, 2]


def test_a_late_result_of_a_chunk_that_waits_again_takes_it_off_the_list() -> None:
    world = _world([0, 1, 2])
    chunk = world.orders[0][0].chunk
    world.lose(0)
    world.done.add(chunk.chunk_index)
    world.take(world.dispatch.chunk_done(0, chunk))
    world.up(1)
    assert world.finish_all() == [1, 2]


def test_nothing_is_started_for_a_worker_lost_after_the_end() -> None:
    world = _world([0])
    world.finish(0)
    world.lose(0)
    assert world.to_start == 0


def test_a_job_with_nothing_left_is_finished() -> None:
    assert Dispatch([], [0]).finished
    assert Dispatch([], [0]).worker_up(0) == []


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_every_chunk_is_done_or_the_job_fails_whatever_happens(data: st.DataObject) -> None:
    joins = data.draw(st.lists(st.booleans(), min_size=1, max_size=12), label="joins its lane")
    lanes: list[int] = []
    for i, joined in enumerate(joins):
        lanes.append(lanes[-1] if joined and lanes else i)
    world = _world(lanes, workers=data.draw(st.integers(1, 3), label="workers"))
    number = len(world.orders)
    for _ in range(data.draw(st.integers(0, 40), label="events")):
        if world.failed or world.dispatch.finished:
            break
        if world.to_start and (not world.orders or data.draw(st.booleans(), label="comes up")):
            world.to_start -= 1
            world.up(number)
            number += 1
            continue
        if not world.orders:
            break
        worker = data.draw(st.sampled_from(sorted(world.orders)), label="worker")
        if not world.orders[worker] or data.draw(st.integers(0, 9), label="lost") == 0:
            world.lose(worker)
            continue
        place = data.draw(st.integers(0, len(world.orders[worker]) - 1), label="place")
        order = world.orders[worker][place]
        events: list[Callable[[int, int], object]] = [world.finish, world.fail, world.miss]
        if order.after is not None:
            events.append(world.close)
        if not order.proven:
            events.append(world.false_keyframe)
        data.draw(st.sampled_from(events), label="event")(worker, place)
    if not world.failed:
        world.up(number)
        world.finish_all()
        assert world.done == {chunk.chunk_index for chunk in world.chunks}
