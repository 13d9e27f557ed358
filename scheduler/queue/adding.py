"""Putting jobs into the queue: all of an addition or nothing.

Not for: making jobs out of options and manifests (`scheduler.queue.requests`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from farm.errors import InputError
from scheduler.queue.records import JobOutcome, JobState, NewJob
from scheduler.queue.store import QueueStore, marks

_SUCCESS = tuple(outcome.value for outcome in JobOutcome if outcome.has_output)
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an addition did."""

    job_ids: tuple[int, ...]
    """Of the new jobs, in order."""
    there_already: tuple[tuple[int, int], ...]
    """(place in the addition, number of the job that does the same work)."""


def add_jobs(
    store: QueueStore, jobs: Sequence[NewJob], *, who: str, now: datetime, again: bool = False
) -> Added:
    """Add jobs; work that is in the queue already, or was done, is left out and reported.

    Args:
        store: The queue.
        jobs: To add, in this order.
        who: Whose history entry it is.
        now: Aware UTC.
        again: Whether the same work is added nevertheless.

    Raises:
        InputError: Two jobs have one output, or one waits for itself or for nothing that is there.
        JobError: The queue cannot be written; nothing was added.
    """
    _check_outputs(jobs)
    _check_order(jobs)
    with store.change():
        there = {} if again else _same_work(store, [job.digest for job in jobs])
        numbers: dict[int, int] = {}
        fresh: list[int] = []
        for place, job in enumerate(jobs):
            if job.digest in there:
                numbers[place] = there[job.digest]
                continue
            after = (*job.after, *(numbers[i] for i in job.after_new))
            numbers[place] = _insert(store, job, after, now)
            store.log(numbers[place], now, who, "added")
            fresh.append(numbers[place])
    known = [(place, n) for place, n in numbers.items() if n not in set(fresh)]
    return Added(job_ids=tuple(fresh), there_already=tuple(known))


def _check_outputs(jobs: Sequence[NewJob]) -> None:
    """Refuse two jobs of an addition that would write one file."""
    seen: dict[str, NewJob] = {}
    for job in jobs:
        other = seen.setdefault(str(job.output), job)
        if other is not job:
            raise InputError(
                f"{job.output}: is the output of {other.target} and of {job.target}; put {{stem}},"
                " {source} or {number} into --output"
            )


def _check_order(jobs: Sequence[NewJob]) -> None:
    """Refuse a job that waits for one behind it; so none waits in a circle.

    Raises:
        InputError: There is a circle, or a place that is none.
    """
    for place, job in enumerate(jobs):
        for other in job.after_new:
            if not 0 <= other < place:
                raise InputError(
                    f"{job.target}: job {place + 1} of this addition waits for number {other + 1},"
                    " which must stand before it"
                )


def _same_work(store: QueueStore, digests: Sequence[str]) -> dict[str, int]:
    """Jobs that do, or did well, the work of these digests."""
    found: dict[str, int] = {}
    for start in range(0, len(digests), _BATCH):
        some = digests[start : start + _BATCH]
        rows = store.base.execute(
            f"SELECT digest, job_id FROM jobs WHERE digest IN ({marks(some)})"
            f" AND (state != 'ended' OR outcome IN ({marks(_SUCCESS)})) ORDER BY job_id",
            (*some, *_SUCCESS),
        )
        found.update(rows.fetchall())
    return found


def _insert(store: QueueStore, job: NewJob, after: Sequence[int], now: datetime) -> int:
    """Write one job; it is held until `claim` sees that its time has come."""
    _check_free(store, job)
    windows = json.dumps(sorted(job.windows)) if job.windows else ""
    store.base.execute("INSERT OR IGNORE INTO window_texts VALUES (?)", (windows,))
    pending = _pending(store, job, after)
    cursor = store.base.execute(
        "INSERT INTO jobs (state, target, output, job_values, digest, priority, position, tag,"
        " tags, windows, not_before, pending, added) VALUES (?, ?, ?, ?, ?, ?,"
        " (SELECT coalesce(max(job_id), 0) + 1 FROM jobs), ?, ?, ?, ?, ?, ?)",
        (
            JobState.HELD if pending or job.not_before or windows else JobState.WAITING,
            str(job.target),
            str(job.output),
            json.dumps(dict(job.values)),
            job.digest,
            job.priority,
            job.tags[0] if job.tags else "",
            json.dumps(job.tags),
            windows,
            job.not_before.timestamp() if job.not_before else 0.0,
            pending,
            now.timestamp(),
        ),
    )
    number = cursor.lastrowid
    assert number is not None
    store.base.executemany("INSERT INTO job_after VALUES (?, ?)", [(number, n) for n in set(after)])
    return number


def _check_free(store: QueueStore, job: NewJob) -> None:
    """Refuse an output that another job is to write."""
    row = store.base.execute(
        "SELECT job_id FROM jobs WHERE output = ? AND state != 'ended'", (str(job.output),)
    ).fetchone()
    if row:
        raise InputError(
            f"{job.output}: is the output of job {row[0]} already; give another --output"
        )


def _pending(store: QueueStore, job: NewJob, after: Sequence[int]) -> int:
    """How many jobs must succeed before this one."""
    waits = 0
    for number in set(after):
        before = store.get(number)
        if before.state is JobState.ENDED and not (before.outcome and before.outcome.has_output):
            raise InputError(
                f"{job.target}: is to follow job {number}, which ended as {before.outcome};"
                " retry that one first (`facefarm queue retry`)"
            )
        waits += before.state is not JobState.ENDED
    return waits
