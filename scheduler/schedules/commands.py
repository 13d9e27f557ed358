"""The subcommands of `facefarm schedule`: options in, a document and lines out.

Not for: firing, which the service does (`scheduler.schedules.store.fire_due`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from farm.command import CommandResult
from farm.options import Option
from scheduler.queue.commands import RenderValues, Store, opened
from scheduler.queue.manifest_file import parse_time
from scheduler.queue.requests import JobRequest, build_jobs
from scheduler.queue.store import default_store
from scheduler.schedules.rule import Missed, Rule, local_zone, parse_every
from scheduler.schedules.store import (
    Schedule,
    add_schedule,
    enable,
    fire,
    get_schedule,
    remove_schedule,
    schedules,
)

Name = Annotated[str, Option(positional=True, help="Name of a schedule.")]
_FIRES = 5


def add(
    *,
    name: Name,
    targets: Annotated[
        tuple[str, ...], Option(positional=True, help="Files, folders and patterns.")
    ],
    cron: Annotated[
        str | None, Option(unset="none", help='Minute, hour, day, month, weekday: "0 2 * * *".')
    ] = None,
    at: Annotated[
        str | None, Option(unset="none", help="Once, like 2026-11-24T22:00+01:00.")
    ] = None,
    every: Annotated[str | None, Option(unset="none", help="Interval: 90s, 30m, 6h, 1d.")] = None,
    timezone: Annotated[
        str | None, Option(unset="that of this machine", help="Like Europe/Zurich.")
    ] = None,
    missed: Annotated[
        Missed, Option(help="What becomes of times that passed while no service ran.")
    ] = Missed.ONCE,
    source: Annotated[
        tuple[str, ...],
        Option(short="s", unset="none", help="Image, pattern or folder; each is one person."),
    ] = (),
    output: Annotated[str, Option(short="o", help="Path with {stem}, {source}, {number}.")],
    priority: Annotated[int, Option(help="Higher goes first.")] = 0,
    window: Annotated[
        tuple[str, ...],
        Option(unset="always", help='When it may run, like "22:00-06:00 mon-fri Europe/Zurich".'),
    ] = (),
    tag: Annotated[tuple[str, ...], Option(unset="none", help="Tag of the jobs.")] = (),
    again: Annotated[bool, Option(help="Also add work that was done before.")] = False,
    store: Store = None,
    values: RenderValues,
) -> CommandResult:
    """Keep a schedule, whose jobs are checked now as they would be added."""
    rule = Rule(
        cron=cron,
        at=parse_time(at, "--at") if at else None,
        every=parse_every(every) if every else None,
        start=datetime.now(UTC) if every else None,
        zone=timezone or local_zone(),
        missed=missed,
    )
    fields: dict[str, Any] = {
        "targets": targets,
        "sources": source,
        "output": output,
        "values": values,
        "priority": priority,
        "tags": tag,
        "windows": window,
    }
    build_jobs(JobRequest(**fields), Path.cwd())
    request = {**fields, "folder": str(Path.cwd()), "again": again}
    with opened(store) as queue:
        made = add_schedule(queue, name, rule, request, datetime.now(UTC))
    return _result([made])


def list_schedules(*, store: Store = None) -> CommandResult:
    """Show all schedules."""
    with opened(store) as queue:
        return _result(schedules(queue))


def next_fires(*, name: Name, store: Store = None) -> CommandResult:
    """Show when a schedule fires next."""
    with opened(store) as queue:
        found = get_schedule(queue, name)
    fires: list[datetime] = []
    following = found.rule.next_fire(datetime.now(UTC)) if found.enabled else None
    while following is not None and len(fires) < _FIRES:
        fires.append(following)
        following = found.rule.next_fire(following)
    lines = [f"{fire.astimezone():%Y-%m-%d %H:%M:%S %Z}" for fire in fires] or ["never"]
    return CommandResult(document={"name": name, "fires": fires}, lines=lines)


def run_now(*, name: Name, store: Store = None) -> CommandResult:
    """Add the jobs of a schedule now, beside its times."""
    with opened(store) as queue:
        ids = fire(queue, get_schedule(queue, name), datetime.now(UTC))
        message = get_schedule(queue, name).message
    lines = [f"added {len(ids)}" + (f" ({message})" if message else "")]
    return CommandResult(document={"job_ids": ids, "message": message}, lines=lines)


def disable(*, name: Name, store: Store = None) -> CommandResult:
    """Keep a schedule from firing."""
    with opened(store) as queue:
        return _result([enable(queue, name, False, datetime.now(UTC))])


def enable_again(*, name: Name, store: Store = None) -> CommandResult:
    """Let a schedule fire again."""
    with opened(store) as queue:
        return _result([enable(queue, name, True, datetime.now(UTC))])


def remove(*, name: Name, store: Store = None) -> CommandResult:
    """Forget a schedule."""
    with opened(store) as queue:
        remove_schedule(queue, name)
    return CommandResult(document={"removed": name}, lines=[f"removed {name}"])


def _result(found: Sequence[Schedule]) -> CommandResult:
    lines = [_line(schedule) for schedule in found] or [f"no schedule in {default_store()}"]
    return CommandResult(document={"schedules": found}, lines=lines)


def _line(schedule: Schedule) -> str:
    rule = schedule.rule
    when = rule.cron or (rule.every and f"every {rule.every}") or f"at {rule.at}"
    following = schedule.next_fire and f"next {schedule.next_fire.astimezone():%Y-%m-%d %H:%M %Z}"
    state = (following or "never again") if schedule.enabled else "disabled"
    said = f"  {schedule.message}" if schedule.message else ""
    return f"{schedule.name}: {when} ({rule.zone}), {state}{said}"
