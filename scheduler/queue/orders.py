"""What users order of jobs in the queue: pause, resume, cancel, retry, move, remove.

A job that runs belongs to its service: it is asked, and answers with its next heartbeat.
Not for: adding jobs (`scheduler.queue.adding`).
"""

from __future__ import annotations

from datetime import datetime

from farm.errors import InputError
from scheduler.queue.claims import end
from scheduler.queue.records import JobOutcome, JobRequest, JobState, QueueJob
from scheduler.queue.store import QueueStore

_STILL = (JobState.HELD, JobState.WAITING)


def pause(store: QueueStore, job_id: int, *, who: str, now: datetime) -> QueueJob:
    """Keep a job from running; one that runs finishes the chunks in hand and keeps them.

    Raises:
        InputError: There is no such job, or it ended.
    """
    with store.change():
        job = _must_be(store, job_id, (*_STILL, JobState.RUNNING), "paused")
        if job.state is JobState.RUNNING:
            _ask(store, job_id, JobRequest.PAUSE)
        else:
            _set_state(store, job_id, JobState.PAUSED)
        store.log(job_id, now, who, "pause")
    return store.get(job_id)


def resume(store: QueueStore, job_id: int, *, who: str, now: datetime) -> QueueJob:
    """Let a paused job run again.

    Raises:
        InputError: There is no such job, or it is not paused.
    """
    with store.change():
        job = store.get(job_id)
        if job.request is JobRequest.PAUSE:
            store.base.execute("UPDATE jobs SET request = NULL WHERE job_id = ?", (job_id,))
        else:
            _must_be(store, job_id, (JobState.PAUSED,), "resumed")
            _set_state(store, job_id, JobState.HELD)
        store.log(job_id, now, who, "resume")
    return store.get(job_id)


def cancel(store: QueueStore, job_id: int, *, who: str, now: datetime) -> QueueJob:
    """End a job without an output; jobs that were to follow it are skipped.

    Raises:
        InputError: There is no such job, or it ended.
    """
    with store.change():
        job = _must_be(store, job_id, (*_STILL, JobState.PAUSED, JobState.RUNNING), "cancelled")
        store.log(job_id, now, who, "cancel")
        if job.state is JobState.RUNNING:
            _ask(store, job_id, JobRequest.CANCEL)
        else:
            end(store, job_id, now, who, JobOutcome.CANCELLED, None, "")
    return store.get(job_id)


def retry(store: QueueStore, job_id: int, *, who: str, now: datetime) -> QueueJob:
    """Let a job that ended without success run again, and those that were skipped for it.

    Raises:
        InputError: There is no such job, it did not fail, it follows one that failed, or its
            output is another job's by now.
    """
    with store.change():
        job = _must_be(store, job_id, (JobState.ENDED,), "tried again")
        if job.outcome is not None and job.outcome.has_output:
            raise InputError(f"job {job_id} is {job.outcome}; add it again with --again")
        for before in map(store.get, job.after):
            if _failed(before):
                raise InputError(
                    f"job {job_id} is to follow job {before.job_id}, which ended as"
                    f" {before.outcome}; retry that one"
                )
        revived = [job]
        while revived:
            each = revived.pop()
            _revive(store, each, who, now)
            revived += _skipped_for(store, each.job_id)
    return store.get(job_id)


def move(
    store: QueueStore,
    job_id: int,
    *,
    priority: int | None = None,
    to_front: bool = False,
    who: str,
    now: datetime,
) -> QueueJob:
    """Change a job's priority, or put it before all others of its priority.

    Raises:
        InputError: There is no such job, or it ended.
    """
    with store.change():
        _must_be(store, job_id, tuple(s for s in JobState if s is not JobState.ENDED), "moved")
        if priority is not None:
            store.base.execute("UPDATE jobs SET priority = ? WHERE job_id = ?", (priority, job_id))
            store.log(job_id, now, who, "move", f"priority {priority}")
        if to_front:
            store.base.execute(
                "UPDATE jobs SET position = (SELECT min(position) - 1 FROM jobs) WHERE job_id = ?",
                (job_id,),
            )
            store.log(job_id, now, who, "move", "to the front")
    return store.get(job_id)


def remove(store: QueueStore, job_id: int) -> None:
    """Forget a job that ended.

    Raises:
        InputError: There is no such job, or it has not ended.
    """
    with store.change():
        _must_be(store, job_id, (JobState.ENDED,), "removed; cancel it first")
        store.base.execute("DELETE FROM job_after WHERE after_id = ?", (job_id,))
        store.base.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))


def _must_be(store: QueueStore, job_id: int, states: tuple[JobState, ...], what: str) -> QueueJob:
    job = store.get(job_id)
    if job.state not in states:
        now_it = job.outcome or job.state
        raise InputError(f"job {job_id} is {now_it} and cannot be {what}")
    return job


def _revive(store: QueueStore, job: QueueJob, who: str, now: datetime) -> None:
    """Hold a job again, with the number of jobs that it still waits for."""
    taken = store.base.execute(
        "SELECT job_id FROM jobs WHERE output = ? AND state != 'ended'", (str(job.output),)
    ).fetchone()
    if taken:
        raise InputError(f"{job.output}: is the output of job {taken[0]} by now; cancel that first")
    before = [store.get(number) for number in job.after]
    pending = sum(not (b.outcome and b.outcome.has_output) for b in before)
    store.base.execute(
        "UPDATE jobs SET state = 'held', outcome = NULL, exit_code = NULL, ended = NULL,"
        " deaths = 0, owns_output = 0, message = '', progress = '{}', pending = ? WHERE job_id = ?",
        (pending, job.job_id),
    )
    store.log(job.job_id, now, who, "retry")


def _skipped_for(store: QueueStore, job_id: int) -> list[QueueJob]:
    """Jobs that were skipped and need not be any longer: no other job before them has failed."""
    rows = store.base.execute(
        "SELECT jobs.job_id FROM job_after JOIN jobs USING (job_id)"
        " WHERE after_id = ? AND outcome = 'skipped'",
        (job_id,),
    ).fetchall()
    skipped = [store.get(number) for (number,) in rows]
    return [job for job in skipped if not any(_failed(store.get(n)) for n in job.after)]


def _failed(job: QueueJob) -> bool:
    return job.outcome is not None and not job.outcome.has_output


def _ask(store: QueueStore, job_id: int, request: JobRequest) -> None:
    store.base.execute("UPDATE jobs SET request = ? WHERE job_id = ?", (request, job_id))


def _set_state(store: QueueStore, job_id: int, state: JobState) -> None:
    store.base.execute("UPDATE jobs SET state = ? WHERE job_id = ?", (state, job_id))
