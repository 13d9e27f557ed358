from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers, sampled_from

from farm.errors import InputError
from scheduler.queue.claims import (
    LEASE,
    Lease,
    claim,
    claim_output,
    died,
    finish,
    give_back,
    heartbeat,
)
from scheduler.queue.orders import cancel, move, pause, remove, resume, retry
from scheduler.queue.records import JobOutcome, JobProgress, JobRequest, JobState
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import NOW, add, check, new_job

WHO: dict[str, Any] = {"who": "me@here", "now": NOW}
LATER = NOW + LEASE + timedelta(seconds=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "queue.sqlite") as opened:
        yield opened
        check(opened)


def taken(store: QueueStore, owner: str = "a") -> int | None:
    found = claim(store, owner, NOW)
    return found[0].job_id if found else None


def lease_of(store: QueueStore, owner: str = "a") -> Lease:
    found = claim(store, owner, NOW)
    assert found is not None
    return found[0]


def test_jobs_run_by_priority_and_then_in_order(store: QueueStore) -> None:
    one, two, three = add(store, new_job(1), new_job(2), new_job(3, priority=5))
    assert [taken(store) for _ in range(4)] == [three, one, two, None]


def test_tags_share_capacity_fairly(store: QueueStore) -> None:
    many = add(store, *(new_job(i, tags=("archive",)) for i in range(3)))
    (single,) = add(store, new_job(9, tags=("news",)))
    assert [taken(store) for _ in range(4)] == [many[0], single, many[1], many[2]]


def test_a_job_moved_to_the_front_is_next(store: QueueStore) -> None:
    one, two, three = add(store, new_job(1), new_job(2), new_job(3))
    move(store, three, to_front=True, **WHO)
    move(store, two, priority=-1, **WHO)
    assert [taken(store) for _ in range(3)] == [three, one, two]


def test_a_claimed_job_is_nobody_elses_until_its_lease_ends(store: QueueStore) -> None:
    add(store, new_job(1))
    held = lease_of(store)
    assert taken(store, "b") is None
    assert heartbeat(store, held, NOW + LEASE / 2, JobProgress(frames_done=3)) == (True, None)
    assert claim(store, "b", NOW + LEASE) is None
    found = claim(store, "b", NOW + 2 * LEASE)
    assert found is not None
    assert (found[1].owner, found[1].attempts, found[1].progress.frames_done) == ("b", 2, 3)
    assert [entry.what for entry in store.history(held.job_id)] == [
        "added",
        "begun",
        "lost",
        "begun",
    ]


def test_whoever_was_late_has_nothing_to_say_any_more(store: QueueStore) -> None:
    add(store, new_job(1))
    late = lease_of(store)
    found = claim(store, "b", LATER)
    assert found is not None
    assert heartbeat(store, late, LATER) == (False, None)
    assert not finish(store, late, LATER, JobOutcome.FAILED, 1, "late")
    assert not give_back(store, late, LATER, JobState.PAUSED, "late")
    assert store.get(late.job_id).owner == "b"
    assert finish(store, found[0], LATER, JobOutcome.DONE, 0, "")


def test_a_lease_from_a_clock_that_jumped_back_does_not_hold_a_job_for_long(
    store: QueueStore,
) -> None:
    add(store, new_job(1))
    lease_of(store)
    assert claim(store, "b", NOW - timedelta(hours=1)) is not None


def test_a_job_waits_for_its_time(store: QueueStore) -> None:
    add(store, new_job(1, not_before=LATER))
    assert claim(store, "a", NOW) is None
    assert claim(store, "a", LATER) is not None


def test_a_job_waits_for_its_window_and_is_held_again_when_it_closes(store: QueueStore) -> None:
    (number,) = add(store, new_job(1, windows=("22:00-06:00",)))
    assert claim(store, "a", NOW, is_open=lambda _: False) is None
    add(store, new_job(2, priority=1))
    assert claim(store, "a", NOW, is_open=lambda _: True) is not None
    assert store.get(number).state is JobState.WAITING
    assert claim(store, "a", NOW, is_open=lambda _: False) is None
    assert store.get(number).state is JobState.HELD


def test_a_job_follows_others_and_is_skipped_when_one_fails(store: QueueStore) -> None:
    first, second, third = add(
        store, new_job(1), new_job(2, after_new=(0,)), new_job(3, after_new=(1,))
    )
    held = lease_of(store)
    assert taken(store) is None
    finish(store, held, NOW, JobOutcome.FAILED, 1, "broke")
    assert [store.get(n).outcome for n in (first, second, third)] == [
        JobOutcome.FAILED,
        JobOutcome.SKIPPED,
        JobOutcome.SKIPPED,
    ]
    assert "job 1, which it was to follow" in store.get(second).message
    retry(store, first, **WHO)
    for number in (first, second, third):
        held = lease_of(store)
        assert held.job_id == number
        finish(store, held, NOW, JobOutcome.DONE, 0, "")


def test_a_paused_job_stays_until_it_is_resumed(store: QueueStore) -> None:
    (number,) = add(store, new_job(1))
    pause(store, number, **WHO)
    assert taken(store) is None
    resume(store, number, **WHO)
    held = lease_of(store)
    pause(store, number, **WHO)
    assert heartbeat(store, held, NOW) == (True, JobRequest.PAUSE)
    give_back(store, held, NOW, JobState.PAUSED, "asked")
    assert taken(store) is None
    resume(store, number, **WHO)
    assert taken(store) == number


def test_cancelling_ends_a_waiting_job_and_asks_for_a_running_one(store: QueueStore) -> None:
    one, two = add(store, new_job(1), new_job(2))
    cancel(store, one, **WHO)
    assert store.get(one).outcome is JobOutcome.CANCELLED
    held = lease_of(store)
    cancel(store, two, **WHO)
    assert heartbeat(store, held, NOW)[1] is JobRequest.CANCEL
    assert claim(store, "b", LATER) is None
    assert store.get(two).outcome is JobOutcome.CANCELLED


def test_orders_that_do_not_fit_are_refused(store: QueueStore) -> None:
    (number,) = add(store, new_job(1))
    with pytest.raises(InputError, match="is waiting and cannot be resumed"):
        resume(store, number, **WHO)
    with pytest.raises(InputError, match="cannot be removed; cancel it first"):
        remove(store, number)
    finish(store, lease_of(store), NOW, JobOutcome.DONE, 0, "")
    for order in (pause, cancel):
        with pytest.raises(InputError, match="is done and cannot be"):
            order(store, number, **WHO)
    with pytest.raises(InputError, match="add it again with --again"):
        retry(store, number, **WHO)
    remove(store, number)
    with pytest.raises(InputError, match="there is no job"):
        store.get(number)


def test_a_paused_job_hears_that_the_one_before_it_ended(store: QueueStore) -> None:
    first, then, other = add(
        store, new_job(1), new_job(2, after_new=(0,)), new_job(3, after_new=(0,))
    )
    pause(store, then, **WHO)
    finish(store, lease_of(store), NOW, JobOutcome.DONE, 0, "")
    assert taken(store) == other
    resume(store, then, **WHO)
    assert taken(store) == then
    assert store.get(first).outcome is JobOutcome.DONE


def test_a_paused_job_is_skipped_when_the_one_before_it_fails(store: QueueStore) -> None:
    _, then = add(store, new_job(1), new_job(2, after_new=(0,)))
    pause(store, then, **WHO)
    finish(store, lease_of(store), NOW, JobOutcome.FAILED, 1, "broke")
    assert store.get(then).outcome is JobOutcome.SKIPPED


def test_a_long_chain_is_skipped_and_revived_as_a_whole(store: QueueStore) -> None:
    jobs = [new_job(i, after_new=(i - 1,) if i else ()) for i in range(1500)]
    numbers = add(store, *jobs)
    cancel(store, numbers[0], **WHO)
    assert store.counts() == {"cancelled": 1, "skipped": 1499}
    retry(store, numbers[0], **WHO)
    assert store.counts() == {"held": 1500}
    assert taken(store) == numbers[0]


def test_a_skipped_job_is_revived_only_when_nothing_before_it_failed(store: QueueStore) -> None:
    one, two, three = add(store, new_job(1), new_job(2), new_job(3, after_new=(0, 1)))
    cancel(store, one, **WHO)
    cancel(store, two, **WHO)
    with pytest.raises(InputError, match=f"is to follow job {one}, which ended as cancelled"):
        retry(store, three, **WHO)
    retry(store, one, **WHO)
    assert store.get(three).outcome is JobOutcome.SKIPPED
    retry(store, two, **WHO)
    assert store.get(three).state is JobState.HELD


def test_only_deaths_of_the_process_are_counted_and_a_retry_begins_anew(store: QueueStore) -> None:
    (number,) = add(store, new_job(1))
    give_back(store, lease_of(store), NOW, JobState.WAITING, "the service ends")
    lost = lease_of(store)
    assert claim(store, "b", LATER) is not None
    assert not died(store, lost, LATER, "signal 9")
    held = Lease(job_id=number, attempt=3, owner="b")
    claim_output(store, held)
    assert died(store, held, LATER, "signal 9")
    job = store.get(number)
    assert (job.state, job.attempts, job.deaths) == (JobState.WAITING, 3, 1)
    assert job.owns_output
    cancel(store, number, **WHO)
    retry(store, number, **WHO)
    job = store.get(number)
    assert (job.deaths, job.owns_output) == (0, False)


class QueueMachine(RuleBasedStateMachine):
    """Services and users that do anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.store = QueueStore(Path(":memory:"))
        self.now = NOW
        self.leases: list[Lease] = []
        self.added = 0

    def teardown(self) -> None:
        self.store.close()

    @rule(after=integers(0, 3), priority=integers(0, 1))
    def add(self, after: int, priority: int) -> None:
        self.added += 1
        jobs = self.store.jobs()
        fine = [j.job_id for j in jobs if not j.outcome or j.outcome.has_output]
        add(self.store, new_job(self.added, after=tuple(fine[:after]), priority=priority))

    @rule(owner=sampled_from("ab"))
    def claim(self, owner: str) -> None:
        if found := claim(self.store, owner, self.now):
            self.leases.append(found[0])

    @rule(which=integers(0, 5), outcome=sampled_from(JobOutcome))
    def finish(self, which: int, outcome: JobOutcome) -> None:
        if which < len(self.leases):
            finish(self.store, self.leases[which], self.now, outcome, 0, "")

    @rule(which=integers(0, 5))
    def die(self, which: int) -> None:
        if which < len(self.leases):
            died(self.store, self.leases[which], self.now, "signal 9")

    @rule(which=integers(0, 5))
    def heartbeat(self, which: int) -> None:
        if which < len(self.leases):
            heartbeat(self.store, self.leases[which], self.now)

    @rule(seconds=integers(-100, 100))
    def clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(which=integers(1, 6), order=sampled_from([pause, resume, cancel, retry]))
    def order(self, which: int, order: object) -> None:
        try:
            order(self.store, which, who="me", now=self.now)  # type: ignore[operator]
        except InputError:
            check(self.store)

    @invariant()
    def holds(self) -> None:
        check(self.store)
        holders = [
            lease
            for lease in self.leases
            if (job := self.store.get(lease.job_id)).owner == lease.owner
            and job.attempts == lease.attempt
        ]
        assert len({lease.job_id for lease in holders}) == len(holders)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
