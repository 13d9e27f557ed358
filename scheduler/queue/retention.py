"""What is deleted when: ended jobs, chunks that failed jobs left behind, and old outputs.

Only what the queue made is touched: an output counts as the job's as long as it has not been
changed since the job ended. Not for: how long things are kept, which the configuration says.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from farm.job_folder import default_job_dir
from farm.manifest import manifest_path
from scheduler.queue.orders import remove
from scheduler.queue.records import JobState, QueueJob
from scheduler.queue.store import JobFilter, QueueStore

log = logging.getLogger(__name__)

_SLACK_S = 60.0
"""An output's time of change may lie so much behind the end of its job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept; None keeps them."""

    jobs: timedelta | None = None
    """Ended jobs in the queue, with their logs and the reports beside these."""
    job_folders: timedelta | None = None
    """Folders of finished chunks that jobs without success left behind."""
    outputs: timedelta | None = None
    outputs_bytes: int | None = None
    """Of all outputs of the queue together; the oldest go first."""

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever deleted."""
        kinds = (self.jobs, self.job_folders, self.outputs, self.outputs_bytes)
        return all(kind is None for kind in kinds)


def tidy(
    store: QueueStore, kept: Retention, now: datetime, log_path: Callable[[int], Path]
) -> list[Path]:
    """Delete what is older or larger than what is kept.

    Args:
        store: The queue.
        kept: How long things are kept.
        now: Aware UTC.
        log_path: Where the log of a job lies.

    Returns:
        What was deleted.
    """
    ended = [] if kept.keeps_all else store.jobs(JobFilter(states=(JobState.ENDED,)))
    gone = [*_old_folders(ended, kept, now), *_old_outputs(ended, kept, now)]
    for path in gone:
        _delete(path)
    for job in ended:
        if kept.jobs is not None and _age(job, now) > kept.jobs:
            remove(store, job.job_id)
            log_file = log_path(job.job_id)
            for path in (log_file, *log_file.parent.glob(f"job-{job.job_id}-*.html")):
                path.unlink(missing_ok=True)
    return gone


def _old_folders(jobs: list[QueueJob], kept: Retention, now: datetime) -> Iterator[Path]:
    for job in jobs:
        folder = Path(job.values.get("job_dir") or default_job_dir(job.output))
        left_behind = not (job.outcome and job.outcome.has_output) and folder.is_dir()
        if kept.job_folders is not None and left_behind and _age(job, now) > kept.job_folders:
            yield folder


def _old_outputs(jobs: list[QueueJob], kept: Retention, now: datetime) -> Iterator[Path]:
    """Outputs with their manifests: those that are too old, and the oldest of too many bytes."""
    total = 0
    for job in sorted(jobs, key=lambda each: _age(each, now)):
        if not _is_its_own(job):
            continue
        total += job.output.stat().st_size
        too_old = kept.outputs is not None and _age(job, now) > kept.outputs
        if too_old or (kept.outputs_bytes is not None and total > kept.outputs_bytes):
            yield job.output
            yield manifest_path(job.output)


def _is_its_own(job: QueueJob) -> bool:
    """Whether the output is there and still what the job made."""
    if not (job.outcome and job.outcome.has_output and job.ended and job.output.is_file()):
        return False
    return job.output.stat().st_mtime <= job.ended.timestamp() + _SLACK_S


def _age(job: QueueJob, now: datetime) -> timedelta:
    return now - (job.ended or now)


def _delete(path: Path) -> None:
    """Delete a file or folder; one that cannot be stays and is said."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        log.info("%s: deleted, as the retention says", path)
    except OSError as error:
        log.warning("%s: cannot be deleted (%s)", path, error.strerror)
