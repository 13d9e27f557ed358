"""The services' side of the queue: taking jobs with a lease, keeping them, and giving them back.

A lease has a number, the job's attempts: who was late and lost a job to another service finds that
its number is old, and nothing that it says counts any more.
Not for: running jobs (`cluster.service`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from scheduler.queue.records import JobOutcome, JobProgress, JobRequest, JobState, QueueJob
from scheduler.queue.store import QueueStore, marks

LEASE = timedelta(seconds=30)
_SANE_LEASES = 4
"""A lease that ends later than so many lengths from now was written by a clock that jumped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run a job."""

    job_id: int
    attempt: int
    owner: str


def claim(
    store: QueueStore,
    owner: str,
    now: datetime,
    *,
    is_open: Callable[[str], bool] = lambda _windows: True,
    lease: timedelta = LEASE,
) -> tuple[Lease, QueueJob] | None:
    """Take the next job: highest priority first, then fairly among tags, then in order.

    Args:
        store: The queue.
        owner: Name of the service, unique among all.
        now: Aware UTC.
        is_open: Tells of a stored text of windows (a JSON list) whether it is open now.
        lease: How long the job is held without a `heartbeat`.

    Returns:
        The lease and the job as it is now; None where nothing may run.

    Raises:
        JobError: The queue cannot be written.
    """
    with store.change():
        take_over(store, now, lease)
        release(store, now, is_open)
        number = _next(store)
        if number is None:
            return None
        turn = "(SELECT coalesce(max(turn), 0) + 1 FROM tag_turns)"
        store.base.execute(
            f"INSERT INTO tag_turns SELECT tag, {turn} FROM jobs WHERE job_id = ?"
            f" ON CONFLICT DO UPDATE SET turn = excluded.turn",
            (number,),
        )
        store.base.execute(
            "UPDATE jobs SET state = 'running', owner = ?, lease_until = ?,"
            " attempts = attempts + 1, started = coalesce(started, ?), request = NULL,"
            " message = '' WHERE job_id = ?",
            (owner, (now + lease).timestamp(), now.timestamp(), number),
        )
        job = store.get(number)
        store.log(number, now, owner, "begun", f"attempt {job.attempts}")
    return Lease(job_id=number, attempt=job.attempts, owner=owner), job


def release(store: QueueStore, now: datetime, is_open: Callable[[str], bool]) -> None:
    """Let held jobs wait whose time has come, and hold those whose window closed."""
    texts = [text for (text,) in store.base.execute("SELECT windows FROM window_texts")]
    opened = [text for text in texts if not text or is_open(text)]
    closed = [text for text in texts if text not in opened]
    store.base.execute(
        "UPDATE jobs SET state = 'waiting' WHERE state = 'held' AND pending = 0"
        f" AND windows IN ({marks(opened)}) AND not_before <= ?",
        (*opened, now.timestamp()),
    )
    if closed:
        store.base.execute(
            "UPDATE jobs SET state = 'held' WHERE state = 'waiting' AND pending = 0"
            f" AND windows IN ({marks(closed)})",
            closed,
        )


def take_over(store: QueueStore, now: datetime, lease: timedelta = LEASE) -> None:
    """Let jobs wait again whose service did not keep its lease."""
    far = (now + _SANE_LEASES * lease).timestamp()
    rows = store.base.execute(
        "SELECT job_id, owner, request FROM jobs WHERE state = 'running'"
        " AND (lease_until < ? OR lease_until > ?)",
        (now.timestamp(), far),
    ).fetchall()
    for number, owner, request in rows:
        store.log(number, now, owner, "lost", "its service did not answer for it")
        if request == JobRequest.CANCEL:
            end(store, number, now, owner, JobOutcome.CANCELLED, None, "")
        else:
            state = JobState.PAUSED if request == JobRequest.PAUSE else JobState.WAITING
            _let_go(store, number, state)


def heartbeat(
    store: QueueStore,
    held: Lease,
    now: datetime,
    progress: JobProgress | None = None,
    lease: timedelta = LEASE,
) -> tuple[bool, JobRequest | None]:
    """Keep a lease and say how far the job is.

    Returns:
        Whether the job is still held, and what users ask for.
    """
    text = None if progress is None else json.dumps(asdict(progress))
    with store.change():
        row = store.base.execute(
            "UPDATE jobs SET lease_until = ?, progress = coalesce(?, progress) WHERE job_id = ?"
            " AND state = 'running' AND attempts = ? AND owner = ? RETURNING request",
            ((now + lease).timestamp(), text, held.job_id, held.attempt, held.owner),
        ).fetchone()
    return row is not None, JobRequest(row[0]) if row and row[0] else None


def finish(
    store: QueueStore,
    held: Lease,
    now: datetime,
    outcome: JobOutcome,
    exit_code: int | None,
    message: str,
    hooks: Sequence[str] = (),
) -> bool:
    """Write what became of a job, and that its hooks are due; False where it was lost meanwhile."""
    with store.change():
        if not _is_held(store, held):
            return False
        end(store, held.job_id, now, held.owner, outcome, exit_code, message)
        store.base.executemany(
            "INSERT INTO deliveries (job_id, hook, tries, due) VALUES (?, ?, 0, ?)",
            [(held.job_id, hook, now.timestamp()) for hook in hooks],
        )
    return True


def claim_output(store: QueueStore, held: Lease) -> None:
    """Note that the output's name was free: what appears there from now on is the job's."""
    with store.change():
        if _is_held(store, held):
            store.base.execute("UPDATE jobs SET owns_output = 1 WHERE job_id = ?", (held.job_id,))


def died(store: QueueStore, held: Lease, now: datetime, why: str) -> bool:
    """Let a job wait again whose process died; False where it was lost meanwhile."""
    with store.change():
        if not _is_held(store, held):
            return False
        store.log(held.job_id, now, held.owner, "died", why)
        store.base.execute("UPDATE jobs SET deaths = deaths + 1 WHERE job_id = ?", (held.job_id,))
        _let_go(store, held.job_id, JobState.WAITING)
    return True


def give_back(store: QueueStore, held: Lease, now: datetime, state: JobState, why: str) -> bool:
    """Let a job wait, hold or pause it before it is done; False where it was lost meanwhile."""
    with store.change():
        if not _is_held(store, held):
            return False
        store.log(held.job_id, now, held.owner, state.value, why)
        _let_go(store, held.job_id, state)
    return True


def end(
    store: QueueStore,
    job_id: int,
    now: datetime,
    who: str,
    outcome: JobOutcome,
    exit_code: int | None,
    message: str,
) -> None:
    """End a job, and tell those that follow it; within `change`."""
    _set_ended(store, job_id, now, who, outcome, exit_code, message)
    if outcome.has_output:
        store.base.execute(
            "UPDATE jobs SET pending = pending - 1 WHERE state != 'ended'"
            " AND job_id IN (SELECT job_id FROM job_after WHERE after_id = ?)",
            (job_id,),
        )
        return
    failed = [(job_id, outcome)]
    while failed:
        number, what = failed.pop()
        why = f"job {number}, which it was to follow, ended as {what}"
        for follower in _followers(store, number):
            _set_ended(store, follower, now, who, JobOutcome.SKIPPED, None, why)
            failed.append((follower, JobOutcome.SKIPPED))


def _set_ended(
    store: QueueStore,
    job_id: int,
    now: datetime,
    who: str,
    outcome: JobOutcome,
    exit_code: int | None,
    message: str,
) -> None:
    store.base.execute(
        "UPDATE jobs SET state = 'ended', outcome = ?, exit_code = ?, message = ?, ended = ?,"
        " owner = NULL, lease_until = NULL, request = NULL WHERE job_id = ?",
        (outcome, exit_code, message, now.timestamp(), job_id),
    )
    store.log(job_id, now, who, outcome.value, message)


def _followers(store: QueueStore, job_id: int) -> list[int]:
    """Jobs that wait for this one, paused ones too."""
    rows = store.base.execute(
        "SELECT jobs.job_id FROM job_after JOIN jobs USING (job_id)"
        " WHERE after_id = ? AND state != 'ended'",
        (job_id,),
    )
    return [number for (number,) in rows.fetchall()]


def _is_held(store: QueueStore, held: Lease) -> bool:
    row = store.base.execute(
        "SELECT 1 FROM jobs WHERE job_id = ? AND state = 'running' AND attempts = ? AND owner = ?",
        (held.job_id, held.attempt, held.owner),
    ).fetchone()
    return row is not None


def _let_go(store: QueueStore, job_id: int, state: JobState) -> None:
    store.base.execute(
        "UPDATE jobs SET state = ?, owner = NULL, lease_until = NULL, request = NULL"
        " WHERE job_id = ?",
        (state, job_id),
    )


def _next(store: QueueStore) -> int | None:
    """Number of the job whose turn it is."""
    row = store.base.execute(
        "SELECT priority FROM jobs WHERE state = 'waiting' ORDER BY priority DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    tag = min(_tags(store, row[0]), key=lambda each: _turn(store, each))
    (number,) = store.base.execute(
        "SELECT job_id FROM jobs WHERE state = 'waiting' AND priority = ? AND tag = ?"
        " ORDER BY position LIMIT 1",
        (row[0], tag),
    ).fetchone()
    return int(number)


def _tags(store: QueueStore, priority: int) -> list[str]:
    """Tags of waiting jobs of a priority; jumps from one to the next in the index."""
    rows = store.base.execute(
        "WITH RECURSIVE found(tag) AS ("
        " SELECT min(tag) FROM jobs WHERE state = 'waiting' AND priority = :p"
        " UNION ALL SELECT (SELECT min(tag) FROM jobs WHERE state = 'waiting' AND priority = :p"
        " AND tag > found.tag) FROM found WHERE found.tag IS NOT NULL)"
        " SELECT tag FROM found WHERE tag IS NOT NULL",
        {"p": priority},
    )
    return [tag for (tag,) in rows]


def _turn(store: QueueStore, tag: str) -> tuple[int, int]:
    """How many jobs of a tag run, and when one was begun last."""
    (running,) = store.base.execute(
        "SELECT count(*) FROM jobs WHERE state = 'running' AND tag = ?", (tag,)
    ).fetchone()
    row = store.base.execute("SELECT turn FROM tag_turns WHERE tag = ?", (tag,)).fetchone()
    return running, row[0] if row else 0
