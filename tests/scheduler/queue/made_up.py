"""A queue and jobs for tests, and what must hold of a queue at any time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.queue.adding import add_jobs
from scheduler.queue.records import JobState, NewJob
from scheduler.queue.store import QueueStore

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def new_job(number: int, **changes: Any) -> NewJob:
    """A job that writes `out<number>.mp4`."""
    fields: dict[str, Any] = {
        "target": Path("/in.mp4"),
        "output": Path(f"/out{number}.mp4"),
        "values": {"target": "/in.mp4", "output": f"/out{number}.mp4"},
        "digest": f"digest {number}",
    }
    return NewJob(**(fields | changes))


def add(store: QueueStore, *jobs: NewJob, now: datetime = NOW) -> tuple[int, ...]:
    """Add jobs and return their numbers."""
    return add_jobs(store, jobs, who="me@here", now=now).job_ids


def check(store: QueueStore) -> None:
    """Refuse a queue that contradicts itself."""
    jobs = {job.job_id: job for job in store.jobs()}
    for job in jobs.values():
        assert (job.state is JobState.ENDED) == (job.outcome is not None) == (job.ended is not None)
        assert (job.state is JobState.RUNNING) == (job.owner is not None)
        assert (job.owner is None) == (job.lease_until is None)
        assert job.request is None or job.state is JobState.RUNNING
        if job.state is JobState.WAITING:
            before = [jobs[number].outcome for number in job.after if number in jobs]
            assert all(outcome and outcome.has_output for outcome in before)
        if job.state in (JobState.HELD, JobState.PAUSED):  # or it would wait for ever
            before = [jobs[number].outcome for number in job.after if number in jobs]
            assert all(outcome is None or outcome.has_output for outcome in before)
            pending = store.base.execute(
                "SELECT pending FROM jobs WHERE job_id = ?", (job.job_id,)
            ).fetchone()[0]
            assert pending == before.count(None)
    active = [job.output for job in jobs.values() if job.state is not JobState.ENDED]
    assert len(active) == len(set(active))
    assert sum(store.counts().values()) == len(jobs)
