"""What the queue keeps of a job: its state, its outcome once it ended, and its history.

A state changes; an outcome is a fact that does not change unless the job is tried again.
Not for: storing (`scheduler.queue.store`) or running (`cluster.service`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from farm.observer import WorkerProgress


class JobState(StrEnum):
    """Where a job of the queue stands."""

    HELD = "held"
    """It waits for its time or for another job."""
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class JobOutcome(StrEnum):
    """What became of a job that ended."""

    DONE = "done"
    DAMAGED = "damaged"
    """Done from a source of which parts did not decode."""
    REFUSED = "refused"
    """By the content filter."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """A job that it was to follow did not succeed."""

    @property
    def has_output(self) -> bool:
        """Whether the output was made."""
        return self in (JobOutcome.DONE, JobOutcome.DAMAGED)


class JobRequest(StrEnum):
    """What was asked of the service that runs a job."""

    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A render on its way into the queue; checked when its settings were made."""

    target: Path
    output: Path
    values: Mapping[str, Any]
    """Option values by name, as `farm.options.collect` takes them."""
    digest: str
    """Of all that the output depends on, to notice the same work."""
    priority: int = 0
    """Higher goes first."""
    tags: tuple[str, ...] = ()
    """The first one is what capacity is shared fairly among."""
    after: tuple[int, ...] = ()
    """Numbers of jobs that must succeed first."""
    after_new: tuple[int, ...] = ()
    """Places in the same addition of jobs that must succeed first."""
    not_before: datetime | None = None
    """Aware UTC."""
    windows: tuple[str, ...] = ()
    """When it may run; always where there is none (`scheduler.windows`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a running job is."""

    stage: str = ""
    frames_done: int = 0
    frames: int = 0
    fps: float = 0.0
    detail: str = ""
    workers: tuple[WorkerProgress, ...] = ()
    """What each worker does; of a video that is being rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueJob:
    """A job of the queue as it was read."""

    job_id: int
    state: JobState
    outcome: JobOutcome | None
    request: JobRequest | None
    target: Path
    output: Path
    values: Mapping[str, Any]
    digest: str
    priority: int
    tags: tuple[str, ...]
    after: tuple[int, ...]
    not_before: datetime | None
    windows: tuple[str, ...]
    added: datetime
    started: datetime | None
    """When it was first begun."""
    ended: datetime | None
    attempts: int
    """How often it was begun; also the fencing number of its lease."""
    deaths: int
    """How often its process died and said nothing."""
    owns_output: bool
    """Whether nothing was there under the output's name when it was first begun: what is there
    now, an earlier attempt has made."""
    owner: str | None
    """The service that holds it."""
    lease_until: datetime | None
    exit_code: int | None
    message: str
    """The last error, or why it waits."""
    progress: JobProgress = field(default_factory=JobProgress)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that happened to a job."""

    at: datetime
    who: str
    """`user@host`, or the service."""
    what: str
    why: str
