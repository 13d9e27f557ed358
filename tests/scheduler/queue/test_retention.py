from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from farm.job_folder import default_job_dir
from farm.manifest import manifest_path
from scheduler.queue.claims import claim, finish
from scheduler.queue.records import JobOutcome
from scheduler.queue.retention import Retention, tidy
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import NOW, add, new_job

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "queue.sqlite") as opened:
        yield opened


def ended(store: QueueStore, output: Path, outcome: JobOutcome, days_ago: int) -> int:
    """A job that ended some days ago and left behind what such a job leaves."""
    when = NOW - days_ago * DAY
    (number,) = add(store, new_job(days_ago, output=output, digest=str(output)), now=when)
    found = claim(store, "a", when)
    assert found is not None
    finish(store, found[0], when, outcome, 0, "")
    if outcome.has_output:
        output.write_bytes(b"x" * 100)
        manifest_path(output).write_text("{}")
        os.utime(output, (when.timestamp(), when.timestamp()))
    else:
        default_job_dir(output).mkdir()
    return number


def test_what_is_old_goes_and_what_is_young_stays(store: QueueStore, tmp_path: Path) -> None:
    old, young = tmp_path / "old.mp4", tmp_path / "young.mp4"
    failed = tmp_path / "failed.mp4"
    numbers = [
        ended(store, old, JobOutcome.DONE, 10),
        ended(store, young, JobOutcome.DONE, 1),
        ended(store, failed, JobOutcome.FAILED, 8),
    ]
    log = tmp_path / "log"
    log.write_text("a log")
    report = tmp_path / f"job-{numbers[0]}-1.html"
    report.write_text("a report")
    kept = Retention(jobs=9 * DAY, job_folders=7 * DAY, outputs=5 * DAY)
    tidy(store, kept, NOW, lambda number: log if number == numbers[0] else tmp_path / "none")
    assert not old.exists()
    assert not manifest_path(old).exists()
    assert not default_job_dir(failed).exists()
    assert not log.exists()
    assert not report.exists()
    assert young.exists()
    assert sorted(job.job_id for job in store.jobs()) == numbers[1:]


def test_the_oldest_outputs_go_when_all_are_too_large(store: QueueStore, tmp_path: Path) -> None:
    outputs = [tmp_path / f"{days}.mp4" for days in (1, 2, 3)]
    for days, output in enumerate(outputs, start=1):
        ended(store, output, JobOutcome.DONE, days)
    tidy(store, Retention(outputs_bytes=250), NOW, lambda _: tmp_path / "none")
    assert [output.exists() for output in outputs] == [True, True, False]


def test_an_output_that_somebody_changed_is_not_the_queues_any_more(
    store: QueueStore, tmp_path: Path
) -> None:
    output = tmp_path / "o.mp4"
    ended(store, output, JobOutcome.DONE, 10)
    output.write_bytes(b"edited by hand")
    assert tidy(store, Retention(outputs=DAY), NOW, lambda _: tmp_path / "none") == []
    assert output.exists()


def test_by_default_everything_is_kept(store: QueueStore, tmp_path: Path) -> None:
    ended(store, tmp_path / "o.mp4", JobOutcome.DONE, 4000)
    assert tidy(store, Retention(), NOW, lambda _: tmp_path / "none") == []
    assert len(store.jobs()) == 1
