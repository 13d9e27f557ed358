"""Schedules in the queue's file, and carrying out those that are due.

Not for: when they fire (`scheduler.schedules.rule`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from farm.errors import FarmError, InputError
from scheduler.queue.adding import add_jobs
from scheduler.queue.requests import JobRequest, build_jobs
from scheduler.queue.store import QueueStore
from scheduler.schedules.rule import Missed, Rule

_AHEAD = timedelta(hours=1)
"""A last fire that lies so far ahead was written by a clock that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it was read."""

    name: str
    rule: Rule
    request: Mapping[str, Any]
    """What is added: the fields of `JobRequest`, and `folder`, `again` and `manifest`."""
    enabled: bool
    last_fire: datetime
    next_fire: datetime | None
    message: str
    """Why the last fire added nothing, where it did not."""


def add_schedule(
    store: QueueStore, name: str, rule: Rule, request: Mapping[str, Any], now: datetime
) -> Schedule:
    """Keep a schedule; it fires from `now` on.

    Raises:
        InputError: There is one of this name, or it would never fire.
    """
    following = rule.next_fire(now)
    if following is None:
        why = f"{rule.at:%Y-%m-%d %H:%M} has passed" if rule.at else "no date fits its times"
        raise InputError(f"schedule {name}: never fires: {why}")
    with store.change():
        if store.base.execute("SELECT 1 FROM schedules WHERE name = ?", (name,)).fetchone():
            raise InputError(f"schedule {name}: is there already; remove it first")
        store.base.execute(
            "INSERT INTO schedules VALUES (?, ?, ?, 1, ?, ?, '')",
            (
                name,
                json.dumps(_plain(rule)),
                json.dumps(dict(request)),
                now.timestamp(),
                following.timestamp(),
            ),
        )
    return get_schedule(store, name)


def schedules(store: QueueStore) -> list[Schedule]:
    """All schedules by name."""
    return [_read(row) for row in store.base.execute("SELECT * FROM schedules ORDER BY name")]


def get_schedule(store: QueueStore, name: str) -> Schedule:
    """Read one.

    Raises:
        InputError: There is none of this name.
    """
    row = store.base.execute("SELECT * FROM schedules WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise InputError(f"there is no schedule {name}; `facefarm schedule list`")
    return _read(row)


def enable(store: QueueStore, name: str, enabled: bool, now: datetime) -> Schedule:
    """Switch one on or off; what it missed while off is not made up for."""
    found = get_schedule(store, name)
    following = found.rule.next_fire(now) if enabled else None
    with store.change():
        store.base.execute(
            "UPDATE schedules SET enabled = ?, last_fire = ?, next_fire = ? WHERE name = ?",
            (enabled, now.timestamp(), following and following.timestamp(), name),
        )
    return get_schedule(store, name)


def remove_schedule(store: QueueStore, name: str) -> None:
    """Forget one.

    Raises:
        InputError: There is none of this name.
    """
    get_schedule(store, name)
    with store.change():
        store.base.execute("DELETE FROM schedules WHERE name = ?", (name,))


def fire_due(store: QueueStore, now: datetime) -> list[int]:
    """Add the jobs of all schedules that are due; each fire is carried out by one service.

    Returns:
        Numbers of the new jobs.
    """
    _mend_clock(store, now)
    rows = store.base.execute(
        "SELECT * FROM schedules WHERE enabled AND next_fire <= ?", (now.timestamp(),)
    ).fetchall()
    added: list[int] = []
    for schedule in map(_read, rows):
        if _take(store, schedule, now):
            for _ in schedule.rule.due(schedule.last_fire, now):
                added += fire(store, schedule, now)
    return added


def _mend_clock(store: QueueStore, now: datetime) -> None:
    """Begin anew from now where the clock had run far ahead, or nothing fires until then."""
    rows = store.base.execute(
        "SELECT * FROM schedules WHERE enabled AND last_fire > ?", ((now + _AHEAD).timestamp(),)
    ).fetchall()
    for schedule in map(_read, rows):
        enable(store, schedule.name, True, now)


def fire(store: QueueStore, schedule: Schedule, now: datetime) -> list[int]:
    """Add the jobs of a schedule; why none was added is kept with it."""
    try:
        jobs = build_jobs(*_request(schedule))
        done = add_jobs(
            store,
            jobs,
            who=f"schedule {schedule.name}",
            now=now,
            again=bool(schedule.request.get("again")),
        )
        ids, message = list(done.job_ids), "" if done.job_ids else "all of it was there already"
    except FarmError as error:
        ids, message = [], error.message
    with store.change():
        store.base.execute(
            "UPDATE schedules SET message = ? WHERE name = ?", (message, schedule.name)
        )
    return ids


def _take(store: QueueStore, schedule: Schedule, now: datetime) -> bool:
    """Move a schedule on, unless another service has done so."""
    following = schedule.rule.next_fire(now)
    assert schedule.next_fire is not None
    with store.change():
        row = store.base.execute(
            "UPDATE schedules SET last_fire = ?, next_fire = ?"
            " WHERE name = ? AND enabled AND next_fire = ? RETURNING 1",
            (
                now.timestamp(),
                following and following.timestamp(),
                schedule.name,
                schedule.next_fire.timestamp(),
            ),
        ).fetchone()
    return row is not None


def _request(schedule: Schedule) -> tuple[JobRequest, Path]:
    fields = {k: v for k, v in schedule.request.items() if k not in ("folder", "again")}
    for name in ("targets", "sources", "tags", "windows"):
        fields[name] = tuple(fields.get(name, ()))
    return JobRequest(**fields), Path(schedule.request["folder"])


def _plain(rule: Rule) -> dict[str, Any]:
    """A rule as JSON can hold it."""
    plain = asdict(rule)
    for name in ("at", "start"):
        plain[name] = plain[name] and plain[name].isoformat()
    plain["every"] = plain["every"] and plain["every"].total_seconds()
    return plain


def _read(row: Any) -> Schedule:
    plain = json.loads(row["rule"])
    for name in ("at", "start"):
        plain[name] = plain[name] and datetime.fromisoformat(plain[name])
    plain["every"] = plain["every"] and timedelta(seconds=plain["every"])
    plain["missed"] = Missed(plain["missed"])
    return Schedule(
        name=row["name"],
        rule=Rule(**plain),
        request=json.loads(row["request"]),
        enabled=bool(row["enabled"]),
        last_fire=datetime.fromtimestamp(row["last_fire"], UTC),
        next_fire=row["next_fire"] and datetime.fromtimestamp(row["next_fire"], UTC),
        message=row["message"],
    )
