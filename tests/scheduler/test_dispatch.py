"""The dispatch core: invariants after every event, for any order of events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.dispatch import Dispatch
from tests.scheduler.made_up import made_up_chunks
from tests.scheduler.world import World, make_world


def test_one_worker_renders_all_chunks_in_order() -> None:
    assert make_world([0, 1, 2, 3, 4]).finish_all() == [0, 1, 2, 3, 4]


def test_workers_on_their_way_find_work_left_for_them() -> None:
    world = make_world([0, 1, 2], workers=1, coming=3)
    assert world.held(0) == [0]
    world.up(1)
    world.up(2)
    assert [world.held(worker) for worker in range(3)] == [[0], [1], [2]]


def test_a_worker_has_its_next_chunk_before_it_needs_it() -> None:
    world = make_world([*range(20)], workers=2)
    for _ in range(8):
        for worker in (0, 1):
            assert len(world.held(worker)) >= 2
            world.finish(worker)


def test_quick_chunks_are_held_in_larger_numbers() -> None:
    world = make_world([*range(60)], ahead_s=1.0)
    for _ in range(4):
        world.wait(0.25)
        world.finish(0)
    assert len(world.held(0)) == 5
    for _ in range(12):
        world.wait(5.0)
        world.finish(0)
    assert len(world.held(0)) == 2


def test_leases_are_neighbours_many_in_the_beginning_and_one_at_the_end() -> None:
    world = make_world([*range(64)], workers=2, lease_s=8.0)
    sizes = []
    while not world.dispatch.finished:
        world.wait(1.0)
        for worker in (0, 1):
            if world.orders[worker]:
                before = {
                    w: sum(map(len, s.lease)) for w, s in world.dispatch._board.workers.items()
                }
                world.finish(worker)
                after = sum(map(len, world.dispatch._board.workers[worker].lease))
                if after > before[worker]:
                    sizes.append(after + 1)
                lease = [i for each in world.dispatch._board.workers[worker].lease for i in each]
                assert lease == [*range(lease[0], lease[0] + len(lease))] if lease else True
    assert max(sizes) >= 6
    assert sizes[0] > sizes[-1]
    assert sizes == sorted(sizes, reverse=True)


def test_the_longest_come_first_and_the_rest_in_the_order_of_the_file() -> None:
    chunks = made_up_chunks([*range(8)])
    chunks[5] = replace(chunks[5], frame_stop=chunks[5].frame_start + 10)
    longer = [
        replace(
            c,
            frame_start=c.frame_start + 40 * (i > 3),
            frame_stop=c.frame_stop + 40 * (i >= 3),
        )
        for i, c in enumerate(chunks)
    ]
    world = World(longer, [*range(0, 90, 30)])
    world.up(0)
    assert world.finish_all() == [3, 0, 1, 2, 4, 5, 6, 7]


def test_a_lane_stays_with_one_worker_and_each_chunk_goes_on_after_the_last() -> None:
    world = make_world([0, 0, 0, 0, 4], workers=2)
    assert world.held(0) == [0, 1]
    assert [o.after for o in world.orders[0]] == [None, world.chunks[0]]
    assert world.held(1) == [4]
    world.finish(0)
    assert world.orders[0][-1].after == world.chunks[1]


def test_a_false_keyframe_is_never_used_again() -> None:
    world = make_world([0, 1, 2, 3, 4, 5, 6], keyframes=[0, 30, 60])
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
    world = make_world([0, 1, 2, 3, 4, 5], keyframes=[0, 30])
    for _ in range(3):
        world.finish(0)
    world.false_keyframe(0)  # chunk 3
    world.false_keyframe(0)  # chunk 4, ordered when packet 30 was still believed
    assert [o.packet_start for o in world.orders[0]] == [0, 0]


def test_missing_frames_are_sought_earlier_then_taken_with_errors_then_from_the_start() -> None:
    world = make_world([*range(10)], keyframes=[0, 30, 60, 90])
    while world.orders[0][0].chunk.packet_start < 90:
        world.finish(0)
    seen = []
    first = world.orders[0][0]
    chunk = first.chunk
    seen.append((first.packet_start, first.proven))
    for _ in range(3):
        world.miss(0, [o.chunk for o in world.orders[0]].index(chunk))
        again = next(o for o in world.orders[0] if o.chunk == chunk)
        seen.append((again.packet_start, again.proven))
    assert seen == [(90, False), (60, False), (60, True), (0, True)]


def test_a_chunk_that_lacks_frames_even_from_the_start_fails_the_job() -> None:
    world = make_world([0])
    for _ in range(20):
        if world.failed:
            break
        world.miss(0)
    assert "chunk 00000" in world.failed


def test_a_closed_decoder_gets_all_packets_from_the_keyframe() -> None:
    world = make_world([0, 0, 0])
    assert world.orders[0][1].after is not None
    world.close(0, 1)
    assert world.orders[0][1].after is None
    assert world.orders[0][1].packet_start == 0


def test_a_decoder_that_is_closed_although_nothing_counts_on_it_is_a_failure() -> None:
    world = make_world([0])
    for _ in range(3):
        assert not world.failed
        world.close(0)
    assert world.failed


@pytest.mark.parametrize("attempts", [1, 3, 5])
def test_a_chunk_that_keeps_failing_fails_the_job_with_its_frames(attempts: int) -> None:
    world = make_world([0, 1], attempts=attempts, worker_failures=9)
    for attempt in range(attempts):
        assert not world.failed
        place = world.held(0).index(0)
        world.fail(0, place)
        if attempt < attempts - 1 and 1 not in world.done:
            world.finish(0, world.held(0).index(1))
    assert world.failed == f"it broke, frames 0 to 10 ({attempts} attempts)"


def test_each_attempt_is_on_another_worker_while_there_are_any() -> None:
    world = make_world([*range(9)], workers=3)
    tried = []
    for _ in range(3):
        worker = next(w for w in world.orders if 0 in world.held(w))
        tried.append(worker)
        world.fail(worker, world.held(worker).index(0))
        for other in range(3):
            while world.orders.get(other) and 0 not in world.held(other) and not world.failed:
                world.finish(other)
    assert sorted(tried) == [0, 1, 2]


def test_a_failed_chunk_goes_back_to_its_worker_when_the_others_are_gone() -> None:
    world = make_world([0, 1, 2, 3], workers=2)
    world.fail(0)
    world.lose(1)
    assert sorted(world.finish_all()) == [0, 1, 2, 3]


def test_a_worker_that_fails_three_chunks_is_taken_out_and_its_work_goes_to_others() -> None:
    world = make_world([*range(12)], workers=2)
    while 0 in world.orders:
        world.fail(0)
    assert [each.worker for each in world.stopped] == [0]
    assert "failed 3 chunks and is taken out: it broke" in world.stopped[0].reason
    assert world.to_start == 0
    assert sorted(world.finish_all()) == [*range(12)]


def test_no_worker_left_that_can_render_is_said_at_once() -> None:
    world = make_world([*range(12)], workers=2)
    for worker in (0, 1):
        while worker in world.orders and not world.failed:
            world.fail(worker, message="the device is gone")
    assert world.failed == "no worker is left that can render: the device is gone"


def test_the_last_worker_is_started_anew_once_if_it_had_worked() -> None:
    world = make_world([*range(12)])
    world.finish(0)
    while 0 in world.orders:
        world.fail(0)
    assert (world.to_start, world.failed) == (1, "")
    world.up(1)
    while 1 in world.orders and not world.failed:
        world.fail(1)
    assert world.to_start == 1
    assert world.failed


def test_workers_that_do_not_come_up_fail_the_job_only_when_none_is_left() -> None:
    world = make_world([0, 1], workers=0, coming=2)
    world.take(world.dispatch.worker_not_up("no room"))
    assert not world.failed
    world.take(world.dispatch.worker_not_up("no room"))
    assert "that can render: no room" in world.failed


def test_a_chunk_that_nobody_renders_is_kept_as_it_is_when_told_so() -> None:
    world = make_world([0, 1, 2], keep_failed=True)
    while not any(order.keep for order in world.orders[0]):
        world.fail(0, world.held(0).index(0)) if 0 in world.held(0) else world.finish(0)
    assert [chunk.chunk_index for chunk in world.dispatch.kept] == [0]
    assert sorted({*world.finish_all()} | world.done) == [0, 1, 2]


def test_a_kept_chunk_that_fails_as_well_fails_the_job() -> None:
    world = make_world([0], keep_failed=True, worker_failures=9)
    for _ in range(6):
        assert not world.failed
        world.fail(0)
    assert world.failed


def test_a_failed_chunk_of_a_lane_is_rendered_again_and_the_lane_goes_on() -> None:
    world = make_world([0, 0, 0, 0], workers=2)
    world.fail(0, 1)  # chunk 1, queued behind chunk 0
    assert world.held(1) == [1]
    assert all(o.after is None or o.after.chunk_index + 1 == o.chunk.chunk_index
               for orders in world.orders.values() for o in orders)  # fmt: skip
    assert sorted(world.finish_all()) == [0, 1, 2, 3]


def test_what_a_lost_worker_had_in_hand_goes_to_the_others_and_a_new_one_is_started() -> None:
    world = make_world([0, 0, 0, 3], workers=2)
    world.lose(0)
    assert world.to_start == 1
    assert sorted(world.finish_all()) == [0, 1, 2, 3]


def test_a_lost_worker_puts_each_chunk_it_held_under_suspicion_and_blames_none() -> None:
    world = make_world([*range(6)], workers=2)
    held = set(world.held(0))
    world.lose(0)
    world.finish(1)
    world.finish(1)
    alone = []
    while not world.dispatch.finished:
        if held & set(world.held(1)):
            assert len(world.held(1)) == 1
            alone += world.held(1)
        world.finish(1)
    assert set(alone) == held
    assert not world.failed


def test_a_chunk_that_brings_workers_down_is_told_from_its_innocent_neighbour() -> None:
    world = make_world([*range(6)], workers=1)
    deaths = 0
    while not world.failed:
        worker = next(iter(world.orders))
        if 1 in world.held(worker):
            world.lose(worker)
            deaths += 1
            world.up(worker + 1)
        else:
            world.finish(worker)
    assert deaths == 4
    assert "chunk 00001 (frames 10 to 20) brought its worker down (3 attempts)" in world.failed


def test_no_chunk_is_blamed_for_a_node_that_is_gone() -> None:
    world = make_world([*range(6)], workers=4)
    for worker in range(3):
        world.lose(worker, by_node=True)
    assert not world.dispatch._board.trouble
    assert sorted(world.finish_all()) == [*range(6)]


def test_the_job_goes_on_when_a_lost_worker_never_comes_back() -> None:
    world = make_world([*range(8)], workers=3)
    world.lose(0)
    world.lose(1)
    assert sorted(world.finish_all()) == [*range(8)]


def test_workers_that_die_one_after_another_without_a_chunk_done_fail_the_job() -> None:
    world = make_world([*range(40)], workers=0)
    for worker in range(20):
        if world.failed:
            break
        world.up(worker)
        world.lose(worker)
    assert world.failed


def test_a_late_result_of_a_lost_worker_is_worth_nothing() -> None:
    world = make_world([0, 1, 2], workers=2)
    late = world.orders[0][0]
    world.lose(0)
    assert not world.dispatch.holds(late.token)
    for event in (
        world.dispatch.chunk_done,
        world.dispatch.frames_missing,
        world.dispatch.decoder_closed,
    ):
        assert event(late.token) == []
    assert world.dispatch.chunk_failed(late.token, "late") == []
    assert world.dispatch.keyframe_false(late.token, 0) == []
    assert world.dispatch.worker_lost(0) == []
    assert sorted(world.finish_all()) == [0, 1, 2]


def test_tokens_of_different_runs_differ() -> None:
    first = Dispatch(made_up_chunks([0]), [0], run=1).worker_up(0)
    again = Dispatch(made_up_chunks([0]), [0], run=2).worker_up(0)
    assert first != again


def test_nothing_is_started_for_a_worker_lost_after_the_end() -> None:
    world = make_world([0])
    world.finish(0)
    world.lose(0)
    assert world.to_start == 0


def test_a_job_with_nothing_left_is_finished() -> None:
    assert Dispatch([], [0]).finished
    assert Dispatch([], [0]).worker_up(0) == []


def test_a_worker_that_stands_still_is_replaced_after_the_limit_and_not_before() -> None:
    world = make_world([*range(8)], workers=2, stall_s=30.0, first_stall_s=100.0)
    world.wait(99.0)
    assert not world.stopped
    world.take(world.dispatch.progress(1, 5))
    world.wait(1.5)
    assert [each.worker for each in world.stopped] == [0]
    assert "worker 0 showed no sign of life for 100 s" in world.stopped[0].reason
    assert world.to_start == 1
    assert sorted(world.finish_all()) == [*range(8)]


def test_the_limit_follows_the_speed_that_was_measured() -> None:
    world = make_world([*range(9)], stall_s=30.0, stall_factor=10.0)
    for activity in range(5):
        world.wait(20.0)
        world.take(world.dispatch.progress(0, activity))
    world.wait(199.0)
    assert not world.stopped
    world.wait(2.0)
    assert [each.worker for each in world.stopped] == [0]
    quick = make_world([*range(9)], stall_s=30.0, stall_factor=10.0)
    quick.wait(1.0)
    quick.finish(0)
    quick.wait(29.0)
    assert not quick.stopped
    quick.wait(700.0)
    assert quick.stopped


def test_an_idle_worker_is_never_taken_for_one_that_stands_still() -> None:
    world = make_world([0], workers=2)
    for _ in range(30):
        world.wait(50.0)
        world.take(world.dispatch.progress(0, int(world.now)))
    assert not world.stopped


def test_the_same_number_again_is_no_sign_of_life() -> None:
    world = make_world([0, 1], first_stall_s=100.0)
    for _ in range(30):
        world.wait(10.0)
        if 0 in world.orders:
            world.take(world.dispatch.progress(0, 7))
    assert world.stopped


def test_what_is_not_begun_at_the_end_is_given_twice_and_the_first_result_wins() -> None:
    world = make_world([0, 1, 2], workers=2)
    assert [world.held(0), world.held(1)] == [[0, 1], [2]]
    world.finish(1)
    assert [world.held(0), world.held(1)] == [[0, 1], [1]]
    loser = world.orders[0][1]
    world.finish(1)
    assert [(each.worker, each.token) for each in world.dropped] == [(0, loser.token)]
    assert world.dispatch.chunk_done(loser.token) == []
    assert world.finish_all() == [0]


def test_an_overdue_chunk_is_given_to_one_idle_worker_only() -> None:
    world = make_world([*range(7)], workers=3)
    for _ in range(2):
        world.wait(1.0)
        for worker in range(3):
            world.finish(worker)
    assert sum(map(len, world.orders.values())) == 1
    slow = next(w for w, orders in world.orders.items() if orders)
    world.wait(1.0)
    assert sum(map(len, world.orders.values())) == 1
    world.wait(1.5)
    assert sum(map(len, world.orders.values())) == 2
    world.wait(50.0)
    assert sum(map(len, world.orders.values())) == 2
    quick = next(w for w, orders in world.orders.items() if orders and w != slow)
    world.finish(quick)
    assert world.dispatch.finished


def test_work_that_is_promised_to_a_slow_worker_goes_to_one_that_idles() -> None:
    world = make_world([*range(30)], workers=2, lease_s=20.0)
    for _ in range(2):
        world.wait(1.0)
        world.finish(0)
        world.finish(1)
    while world.orders[1] and not world.dispatch.finished:
        world.wait(1.0)
        world.finish(1)
    assert len(world.done) + len(world.held(0)) == 30


def test_a_draining_worker_ends_when_its_hands_are_empty_and_gets_nothing_new() -> None:
    world = make_world([*range(9)], workers=2)
    held = world.held(0)
    world.drain(0)
    world.finish(1)
    for _ in held:
        world.finish(0)
    assert [each.worker for each in world.stopped] == [0]
    assert world.to_start == 0
    assert sorted({*world.finish_all()} | world.done) == [*range(9)]


def test_a_worker_that_joins_during_the_job_gets_its_share() -> None:
    world = make_world([*range(9)])
    world.finish(0)
    world.dispatch.worker_coming()
    world.up(1)
    assert world.held(1)


def test_cancelling_begins_nothing_more() -> None:
    world = make_world([*range(9)], workers=2)
    held = world.held(0) + world.held(1)
    world.dispatch.cancel()
    world.fail(0)
    world.lose(1)
    while world.dispatch.working:
        world.finish(0)
    assert world.done < set(held)
    assert world.to_start == 0


def test_the_story_tells_what_became_of_a_chunk_and_a_worker() -> None:
    world = make_world([0, 1], workers=2)
    world.wait(2.5)
    world.fail(0)
    story = world.dispatch.story(world.chunks[0])
    assert story[0] == "0.000 sent w0 c0 t1"
    assert story[1] == "2.500 failed w0 c0 t1"
    assert world.dispatch.story(1)[0] == "0.000 up w1 c-1 t-1"


def test_a_stretch_whose_worker_is_given_a_chunk_that_failed_elsewhere_goes_to_an_idle_one() -> (
    None
):
    world = make_world([0, 0, 2, 2, 2, 2, 2, 2, 8, 8, 10, 10], workers=3)
    world.fail(1, 1)
    world.finish(2)
    world.lose(1, by_node=True)
    world.up(3)
    world.wait(1.0)
    world.fail(3, 1)
    world.finish(0)
    world.wait(1.0)
    world.finish(0)
    world.wait(1.0)
    world.fail(2, 1)
    world.finish(2)
    world.finish(2)
    assert all(world.orders.values())
    world.finish_all()
