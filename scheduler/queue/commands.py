"""The subcommands of `facefarm queue`: options in, a document and lines out.

None waits for a service. Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from farm.command import CommandResult, Say
from farm.errors import InputError, SettingsError
from farm.options import Option, OptionsOf
from farm.settings import RenderSettings
from scheduler.queue import orders
from scheduler.queue.adding import Added, add_jobs
from scheduler.queue.lines import job_lines, list_lines
from scheduler.queue.manifest_file import parse_time, read_manifest
from scheduler.queue.records import JobOutcome, JobState, NewJob, QueueJob
from scheduler.queue.requests import JobRequest, build_jobs
from scheduler.queue.store import JobFilter, QueueStore, default_store

Store = Annotated[
    Path | None, Option(unset="below the user's state folder", help="File of the queue.")
]
Jobs = Annotated[tuple[int, ...], Option(positional=True, help="Numbers of jobs.")]
RenderValues = Annotated[
    dict[str, Any], OptionsOf(record=RenderSettings, without=("target", "output", "source"))
]
_WATCH_S = 1.0


def add(
    *,
    targets: Annotated[
        tuple[str, ...], Option(positional=True, help="Files, folders and patterns.")
    ] = (),
    manifest: Annotated[
        Path | None, Option(unset="none", help="TOML, JSON or CSV file of jobs.")
    ] = None,
    source: Annotated[
        tuple[str, ...],
        Option(short="s", unset="none", help="Image, pattern or folder; each is one person."),
    ] = (),
    output: Annotated[
        str | None,
        Option(short="o", unset="by the manifest", help="Path with {stem}, {source}, {number}."),
    ] = None,
    priority: Annotated[int, Option(help="Higher goes first.")] = 0,
    after: Annotated[
        tuple[int, ...], Option(unset="none", help="Job that must succeed first.")
    ] = (),
    not_before: Annotated[
        str | None, Option(unset="at once", help="Time, like 2026-11-24T22:00+01:00.")
    ] = None,
    window: Annotated[
        tuple[str, ...],
        Option(unset="always", help='When it may run, like "22:00-06:00 mon-fri Europe/Zurich".'),
    ] = (),
    tag: Annotated[
        tuple[str, ...], Option(unset="none", help="The first shares capacity fairly with others.")
    ] = (),
    again: Annotated[bool, Option(help="Also add work that is there already or was done.")] = False,
    store: Store = None,
    values: RenderValues,
) -> CommandResult:
    """Add renders: every target with every source, or the jobs of a manifest."""
    if bool(targets) == (manifest is not None):
        raise SettingsError("name targets, or a file of jobs with --manifest")
    if manifest is not None:
        jobs = read_manifest(manifest, {**values, "tag": tag} if tag else values)
    else:
        request = JobRequest(
            targets=targets,
            sources=source,
            output=_needed(output),
            values=values,
            priority=priority,
            tags=tag,
            after=after,
            not_before=parse_time(not_before) if not_before else None,
            windows=window,
        )
        jobs = build_jobs(request, Path.cwd())
    with opened(store) as queue:
        added = add_jobs(queue, jobs, who=user(), now=datetime.now(UTC), again=again)
    return CommandResult(document=asdict(added), lines=_added_lines(added, jobs))


def list_jobs(
    *,
    state: Annotated[
        tuple[str, ...], Option(unset="all", help="Only jobs of this state or outcome.")
    ] = (),
    tag: Annotated[str | None, Option(unset="any", help="Only jobs with this tag.")] = None,
    text: Annotated[str | None, Option(unset="any", help="Only jobs with this in a path.")] = None,
    limit: Annotated[int, Option(help="How many at the most.", low=1)] = 100,
    watch: Annotated[bool, Option(help="Show it again every second until Ctrl-C.")] = False,
    store: Store = None,
    say: Say,
) -> CommandResult:
    """Show jobs in the order of their turn."""
    states, outcomes = _states(state)
    which = JobFilter(states=states, outcomes=outcomes, tag=tag, text=text, limit=limit)
    with opened(store) as queue:
        while watch:
            for line in list_lines(queue.jobs(which), queue.counts()):
                say(line)
            time.sleep(_WATCH_S)
        jobs, counts = queue.jobs(which), queue.counts()
    return CommandResult(document={"jobs": jobs, "counts": counts}, lines=list_lines(jobs, counts))


def show(
    *, job: Annotated[int, Option(positional=True, help="Number of a job.")], store: Store = None
) -> CommandResult:
    """Show one job with its history."""
    with opened(store) as queue:
        found, history = queue.get(job), queue.history(job)
    return CommandResult(
        document={"job": found, "history": history}, lines=job_lines(found, history)
    )


def pause(*, jobs: Jobs, store: Store = None) -> CommandResult:
    """Keep jobs from running."""
    return _each(store, jobs, orders.pause)


def resume(*, jobs: Jobs, store: Store = None) -> CommandResult:
    """Let paused jobs run again."""
    return _each(store, jobs, orders.resume)


def cancel(*, jobs: Jobs, store: Store = None) -> CommandResult:
    """End jobs without an output."""
    return _each(store, jobs, orders.cancel)


def retry(*, jobs: Jobs, store: Store = None) -> CommandResult:
    """Let failed jobs run again."""
    return _each(store, jobs, orders.retry)


def move(
    *,
    jobs: Jobs,
    priority: Annotated[
        int | None, Option(unset="as it is", help="The new priority; higher goes first.")
    ] = None,
    to_front: Annotated[bool, Option(help="Before all others of its priority.")] = False,
    store: Store = None,
) -> CommandResult:
    """Change the turn of jobs."""
    if priority is None and not to_front:
        raise SettingsError("say where to: --priority N or --to-front")

    def moved(queue: QueueStore, job_id: int, *, who: str, now: datetime) -> QueueJob:
        return orders.move(queue, job_id, priority=priority, to_front=to_front, who=who, now=now)

    return _each(store, jobs, moved)


def remove(*, jobs: Jobs, store: Store = None) -> CommandResult:
    """Forget jobs that ended."""
    with opened(store) as queue:
        for number in jobs:
            orders.remove(queue, number)
    return CommandResult(document={"removed": jobs}, lines=[f"removed {len(jobs)}"])


def export(*, store: Store = None) -> CommandResult:
    """Write all jobs with their history, as JSON."""
    with opened(store) as queue:
        jobs = [{"job": job, "history": queue.history(job.job_id)} for job in queue.jobs()]
    return CommandResult(document={"jobs": jobs}, lines=[f"{len(jobs)} jobs: use --json"])


def user() -> str:
    """Who is at work, for histories."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def opened(path: Path | None) -> QueueStore:
    """Open the queue of a file, or the user's own."""
    return QueueStore(path or default_store())


def _needed(output: str | None) -> str:
    if output is None:
        raise SettingsError("-o/--output is missing: a path like 'done/{stem}.mp4'")
    return output


def _each(
    path: Path | None, job_ids: Sequence[int], order: Callable[..., QueueJob]
) -> CommandResult:
    """Give an order for each of some jobs."""
    with opened(path) as queue:
        jobs = [order(queue, number, who=user(), now=datetime.now(UTC)) for number in job_ids]
    return CommandResult(document={"jobs": jobs}, lines=list_lines(jobs))


def _states(
    names: Sequence[str],
) -> tuple[tuple[JobState, ...], tuple[JobOutcome, ...]]:
    """States and outcomes of the names that a user gave."""
    known = {each.value for each in (*JobState, *JobOutcome)}
    for name in names:
        if name not in known:
            raise InputError(f"--state {name}: there is {', '.join(sorted(known))}")
    states = tuple(JobState(n) for n in names if n in set(JobState))
    return states, tuple(JobOutcome(n) for n in names if n in set(JobOutcome))


def _added_lines(added: Added, jobs: Sequence[NewJob]) -> list[str]:
    numbers = ", ".join(map(str, added.job_ids[:20])) + (" ..." if len(added.job_ids) > 20 else "")
    lines = [f"added {len(added.job_ids)} of {len(jobs)}" + (f": {numbers}" if numbers else "")]
    return lines + [
        f"  {jobs[place].output}: job {number} does this already; --again adds it nevertheless"
        for place, number in added.there_already
    ]
