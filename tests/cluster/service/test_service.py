from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cluster.service.commands import serve
from cluster.service.hooks import Hooks
from cluster.service.runner import JobRunner, RunEnd
from cluster.service.service import Service
from farm.errors import JobError
from scheduler.queue.claims import LEASE, claim
from scheduler.queue.orders import cancel, pause, resume
from scheduler.queue.records import JobOutcome, JobProgress, JobState, QueueJob
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import NOW, add, check, new_job


class FakeRunner:
    """A job that ends when the test says so, or when it is told to."""

    def __init__(self, job: QueueJob) -> None:
        self.job = job
        self.result: RunEnd | None = None
        self.orders: list[str] = []
        self.closed = False
        self.slow = False
        """Whether it takes its time to drain."""
        self.progress = JobProgress(frames=10, frames_done=4)

    @property
    def finished(self) -> bool:
        return self.result is not None

    def outcome(self) -> RunEnd:
        assert self.result is not None
        return self.result

    def drain(self) -> None:
        self.orders.append("drain")
        if not self.slow:
            self.result = RunEnd(exit_code=130, message="interrupted")

    def stop(self) -> None:
        self.orders.append("stop")
        self.result = RunEnd(exit_code=130, message="interrupted")

    def close(self) -> None:
        self.closed = True


class Bench:
    """A service with its clock and runners in the test's hands."""

    def __init__(self, store: QueueStore, folder: Path, hooks: Hooks | None = None) -> None:
        self.store, self.now = store, NOW
        self.runners: list[FakeRunner] = []
        self.refuses = False
        """Whether no process can be started."""
        self.service = Service(
            store,
            log_dir=folder,
            side_by_side=2,
            hooks=hooks,
            start=self._start,  # type: ignore[arg-type]
            clock=lambda: self.now,
        )

    def _start(self, job: QueueJob, path: Path) -> FakeRunner:
        if self.refuses:
            raise JobError(f"{path}: a job cannot be started (No space left on device)")
        self.runners.append(FakeRunner(job))
        return self.runners[-1]

    def step(self, seconds: float = 2) -> None:
        """Let time pass and the service look around."""
        self.now += timedelta(seconds=seconds)
        self.service.step()
        check(self.store)

    def end(self, number: int, code: int | None, message: str = "") -> None:
        self.runners[number].result = RunEnd(exit_code=code, message=message)
        self.step()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "queue.sqlite") as opened:
        yield opened


@pytest.fixture
def bench(store: QueueStore, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path / "logs")


def test_so_many_jobs_run_side_by_side_and_the_next_when_one_ends(bench: Bench) -> None:
    one, two, three = add(bench.store, new_job(1), new_job(2), new_job(3))
    bench.step()
    assert [runner.job.job_id for runner in bench.runners] == [one, two]
    bench.end(0, 0)
    assert [runner.job.job_id for runner in bench.runners] == [one, two, three]
    assert bench.store.get(one).outcome is JobOutcome.DONE
    assert bench.store.get(two).progress.frames_done == 4


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, JobOutcome.DONE),
        (4, JobOutcome.DAMAGED),
        (5, JobOutcome.REFUSED),
        (1, JobOutcome.FAILED),
        (2, JobOutcome.FAILED),
        (3, JobOutcome.FAILED),
    ],
)
def test_the_exit_code_decides_the_outcome(bench: Bench, code: int, outcome: JobOutcome) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    bench.end(0, code, "said")
    job = bench.store.get(number)
    assert (job.outcome, job.exit_code, job.message) == (outcome, code, "said")
    assert bench.service.failed == ([number] if outcome is JobOutcome.FAILED else [])


def test_a_process_that_dies_is_started_again_a_few_times(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    for attempt in range(2):
        bench.end(attempt, None, "signal 9")
        assert bench.store.get(number).state is JobState.RUNNING
    bench.end(2, None, "signal 9")
    assert bench.store.get(number).outcome is JobOutcome.FAILED


def test_a_job_that_was_interrupted_often_is_not_given_up_for_it(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    for attempt in range(5):
        bench.end(attempt, 130, "interrupted")
    bench.end(5, None, "signal 9")
    assert bench.store.get(number).state is JobState.RUNNING


def test_a_later_attempt_knows_that_the_output_is_its_own(bench: Bench, tmp_path: Path) -> None:
    free, taken = tmp_path / "free.mp4", tmp_path / "taken.mp4"
    taken.write_bytes(b"somebody's")
    add(bench.store, new_job(1, output=free), new_job(2, output=taken))
    bench.step()
    free.write_bytes(b"the job's")
    bench.end(0, None, "signal 9")
    bench.end(1, None, "signal 9")
    owners = [(runner.job.output.name, runner.job.owns_output) for runner in bench.runners]
    assert owners == [
        ("free.mp4", False),
        ("taken.mp4", False),
        ("free.mp4", True),
        ("taken.mp4", False),
    ]


def test_a_job_that_is_resumed_while_it_drains_goes_on(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    bench.runners[0].slow = True
    pause(bench.store, number, who="me", now=NOW)
    bench.step()
    resume(bench.store, number, who="me", now=NOW)
    bench.step()
    bench.end(0, 130, "interrupted")
    assert bench.store.get(number).state is JobState.RUNNING
    assert len(bench.runners) == 2


def test_a_store_that_cannot_be_written_for_a_while_loses_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    bench.runners[0].result = RunEnd(exit_code=0, message="")
    bench.now += LEASE / 2
    bench.store.base.execute("PRAGMA query_only = ON")
    for _ in range(3):
        assert not bench.service.look(until_empty=True)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "readonly" in caplog.text
    caplog.clear()
    bench.store.base.execute("PRAGMA query_only = OFF")
    assert not bench.service.look(until_empty=True)
    assert bench.store.get(number).outcome is JobOutcome.DONE
    assert bench.service.look(until_empty=True)


def test_a_job_that_cannot_be_started_waits(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.refuses = True
    assert not bench.service.look(until_empty=True)
    assert bench.store.get(number).state is JobState.WAITING
    bench.refuses = False
    bench.step()
    assert bench.store.get(number).state is JobState.RUNNING


def test_a_pause_drains_and_a_cancel_stops(bench: Bench) -> None:
    one, two = add(bench.store, new_job(1), new_job(2))
    bench.step()
    pause(bench.store, one, who="me", now=NOW)
    cancel(bench.store, two, who="me", now=NOW)
    bench.step()
    assert [runner.orders for runner in bench.runners] == [["drain"], ["stop"]]
    bench.step()
    assert bench.store.get(one).state is JobState.PAUSED
    assert bench.store.get(two).outcome is JobOutcome.CANCELLED
    resume(bench.store, one, who="me", now=NOW)
    bench.step()
    assert bench.runners[-1].job.job_id == one


def test_a_window_that_closes_pauses_at_the_next_chunk_and_goes_on_when_it_opens(
    bench: Bench,
) -> None:
    (number,) = add(bench.store, new_job(1, windows=("02:00-04:00 UTC",)))
    bench.step()
    assert len(bench.runners) == 1
    bench.step(3600)
    assert bench.runners[0].orders == ["drain"]
    bench.step()
    assert bench.store.get(number).state is JobState.HELD
    assert len(bench.runners) == 1
    bench.step(23 * 3600)
    assert len(bench.runners) == 2


def test_a_job_taken_over_by_another_service_is_let_go(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1))
    bench.step()
    assert claim(bench.store, "other", bench.now + 2 * LEASE) is not None
    bench.step()
    assert bench.runners[0].orders == ["stop"]
    bench.step()
    assert bench.store.get(number).owner == "other"
    assert bench.store.get(number).state is JobState.RUNNING


def test_a_drain_gives_jobs_back_and_ends(bench: Bench) -> None:
    (number,) = add(bench.store, new_job(1), new_job(2))[:1]
    bench.step()
    bench.service.drain()
    bench.service.run()
    assert bench.runners[0].orders == ["drain"]
    assert bench.runners[0].closed
    assert bench.store.get(number).state is JobState.WAITING
    assert len(bench.runners) == 2


def test_a_service_ends_when_nothing_is_left(bench: Bench) -> None:
    bench.service.run(until_empty=True)
    assert bench.runners == []


def test_hooks_run_once_and_again_when_they_fail(store: QueueStore, tmp_path: Path) -> None:
    calls: list[str] = []

    class Flaky(Hooks):
        @property
        def names(self) -> tuple[str, ...]:
            return ("webhook",)

        def run(self, name: str, job: QueueJob, now: object) -> None:
            calls.append(f"{name} {job.job_id}")
            if len(calls) == 1:
                raise JobError("nobody there")

    bench = Bench(store, tmp_path, Flaky())
    (number,) = add(store, new_job(1))
    bench.step()
    bench.end(0, 0)
    for seconds in (0, 0, 11, 0, 100):
        bench.step(seconds)
        bench.service.settle()
    assert calls == ["webhook 1", "webhook 1"]
    whys = [entry.why for entry in store.history(number) if entry.what == "webhook"]
    assert whys == ["failed: nobody there", "delivered"]


def test_a_real_process_renders_and_reports(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    target, output = tmp_path / "a.png", tmp_path / "b.png"
    picture = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    cv2.imwrite(str(target), picture)
    values = {"target": str(target), "output": str(output), "frame_processor": ["none"]}
    runner = JobRunner(values, tmp_path / "logs" / "job.log")
    try:
        assert runner.outcome() == RunEnd(exit_code=0, message="")
        assert runner.progress.frames_done == 1
    finally:
        runner.close()
    assert (tmp_path / "b.png.facefarm.json").is_file()
    runner = JobRunner({**values, "target": "no.png"}, tmp_path / "logs" / "job.log")
    try:
        end = runner.outcome()
    finally:
        runner.close()
    said = "no.png: there is no such file (-t/--target)"
    assert end == RunEnd(exit_code=2, message=said)
    log = (tmp_path / "logs" / "job.log").read_text(encoding="utf-8")
    assert f"ended with exit code 2: {said}" in log


def test_a_queue_in_which_a_job_fails_is_no_success_for_whoever_waited_for_its_end(
    tmp_path: Path,
) -> None:
    path, output = tmp_path / "queue.sqlite", tmp_path / "b.png"
    values = {"target": "no.png", "output": str(output), "frame_processor": ["none"]}
    with QueueStore(path) as store:
        (number,) = add(store, new_job(1, output=output, values=values))
    result = serve(store=path, until_empty=True, say=lambda _: None)
    assert result.document["failed"] == [number]
    assert isinstance(result.error, JobError)
    assert f"1 of the jobs failed ({number})" in result.error.message
