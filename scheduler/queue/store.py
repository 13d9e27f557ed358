"""The queue's file: opening it, changing it as a whole, and reading jobs.

One SQLite file in WAL mode on a local disk; any number of processes may use it at once, each with a
`QueueStore` of its own. Time is always given, never asked for.
Not for: adding (`scheduler.queue.adding`), orders of users (`scheduler.queue.orders`) or the
services' side (`scheduler.queue.claims`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from farm.errors import InputError
from farm.observer import WorkerProgress
from scheduler.queue.records import (
    HistoryEntry,
    JobOutcome,
    JobProgress,
    JobRequest,
    JobState,
    QueueJob,
)
from scheduler.queue.schema import QueueConnection, open_database, writing


def default_store() -> Path:
    """Where the queue lies unless it is named: below the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "facefarm" / "queue.sqlite"


_ORDER = (JobState.RUNNING, JobState.WAITING, JobState.HELD, JobState.PAUSED, JobState.ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows; everything that is given must fit."""

    states: tuple[JobState, ...] = ()
    outcomes: tuple[JobOutcome, ...] = ()
    tag: str | None = None
    text: str | None = None
    """Part of the path of target or output."""
    newest_first: bool = False
    limit: int | None = None
    offset: int = 0


class QueueStore:
    """An open queue. Close it, or use it as a context manager; belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made where it is missing.

        Raises:
            InputError: It cannot be used.
        """
        self.path = path
        self.base: QueueConnection = open_database(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.base.close()

    def change(self) -> AbstractContextManager[None]:
        """One change: all of it happens or nothing.

        Raises:
            JobError: The file cannot be written.
        """
        return writing(self.base)

    def log(self, job_id: int, now: datetime, who: str, what: str, why: str = "") -> None:
        """Write a line of a job's history; within `change`."""
        self.base.execute(
            "INSERT INTO job_history VALUES (?, ?, ?, ?, ?)",
            (job_id, now.timestamp(), who, what, why),
        )

    def get(self, job_id: int) -> QueueJob:
        """Read one job.

        Raises:
            InputError: There is no such job.
        """
        row = self.base.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            raise InputError(f"{self.path}: there is no job {job_id}; `facefarm queue list`")
        return self._job(row)

    def jobs(self, which: JobFilter | None = None) -> list[QueueJob]:
        """Read jobs: those that run first, then in the order of their turn, then what ended."""
        query, values = _query(which or JobFilter())
        return [self._job(row) for row in self.base.execute(query, values)]

    def history(self, job_id: int) -> tuple[HistoryEntry, ...]:
        """What happened to a job, in order."""
        rows = self.base.execute(
            "SELECT at, who, what, why FROM job_history WHERE job_id = ? ORDER BY rowid", (job_id,)
        )
        return tuple(
            HistoryEntry(at=_time(at), who=who, what=what, why=why) for at, who, what, why in rows
        )

    def counts(self) -> dict[str, int]:
        """How many jobs there are, by state; ended ones by outcome."""
        rows = self.base.execute("SELECT state, outcome, jobs FROM job_counts WHERE jobs > 0")
        return {outcome or state: count for state, outcome, count in rows}

    def _job(self, row: sqlite3.Row) -> QueueJob:
        after = self.base.execute(
            "SELECT after_id FROM job_after WHERE job_id = ? ORDER BY after_id", (row["job_id"],)
        )
        return job_of(row, tuple(number for (number,) in after))


def job_of(row: sqlite3.Row, after: tuple[int, ...]) -> QueueJob:
    """A job from its row."""
    return QueueJob(
        job_id=row["job_id"],
        state=JobState(row["state"]),
        outcome=JobOutcome(row["outcome"]) if row["outcome"] else None,
        request=JobRequest(row["request"]) if row["request"] else None,
        target=Path(row["target"]),
        output=Path(row["output"]),
        values=json.loads(row["job_values"]),
        digest=row["digest"],
        priority=row["priority"],
        tags=tuple(json.loads(row["tags"])),
        after=after,
        not_before=_time(row["not_before"]) if row["not_before"] else None,
        windows=tuple(json.loads(row["windows"])) if row["windows"] else (),
        added=_time(row["added"]),
        started=_time(row["started"]) if row["started"] else None,
        ended=_time(row["ended"]) if row["ended"] else None,
        attempts=row["attempts"],
        deaths=row["deaths"],
        owns_output=bool(row["owns_output"]),
        owner=row["owner"],
        lease_until=_time(row["lease_until"]) if row["lease_until"] else None,
        exit_code=row["exit_code"],
        message=row["message"],
        progress=_progress(json.loads(row["progress"])),
    )


def _progress(plain: dict[str, Any]) -> JobProgress:
    workers = tuple(WorkerProgress(**each) for each in plain.pop("workers", ()))
    return JobProgress(**plain, workers=workers)


def _query(which: JobFilter) -> tuple[str, list[object]]:
    """The list's query and its values.

    State by state, each along its index and no further than needed: one sort of all jobs would take
    longer the more have ended.
    """
    most = -1 if which.limit is None else which.limit
    tests = list(_tests(which))
    values = [value for _, some in tests for value in some]
    if which.newest_first:
        tests += [(f"state IN ({marks(which.states)})", which.states)] if which.states else []
        where = " AND ".join(test for test, _ in tests) or "true"
        query = f"SELECT * FROM jobs WHERE {where} ORDER BY job_id DESC LIMIT {most}"
        return f"{query} OFFSET {which.offset}", [*values, *which.states]
    where = " AND ".join(["state = ?", *(test for test, _ in tests)])
    each = most if most < 0 else most + which.offset
    part = f"SELECT * FROM (SELECT * FROM jobs WHERE {where} ORDER BY priority DESC, position"
    states = [state for state in _ORDER if not which.states or state in which.states]
    query = " UNION ALL ".join([f"{part} LIMIT {each})"] * len(states))
    found = [value for state in states for value in (state, *values)]
    return f"{query} LIMIT {most} OFFSET {which.offset}", found


def _tests(which: JobFilter) -> Iterator[tuple[str, Sequence[object]]]:
    """What a row must be, but for its state."""
    if which.outcomes:
        yield f"outcome IN ({marks(which.outcomes)})", which.outcomes
    if which.tag is not None:
        yield "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", [which.tag]
    if which.text is not None:
        yield "(instr(target, ?) OR instr(output, ?))", [which.text, which.text]


def marks(values: Sequence[object]) -> str:
    """So many question marks, for a query."""
    return ", ".join("?" * len(values))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
