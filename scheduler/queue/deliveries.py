"""Hooks that are due after a job, kept in the queue so that none is lost with a service.

A hook may run twice when a service dies just after it; receivers know a job by its number and
attempt. Not for: carrying hooks out (`cluster.service.hooks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.queue.store import QueueStore

MAX_TRIES = 8
_FIRST_WAIT = timedelta(seconds=10)
_HELD_FOR = timedelta(minutes=5)
"""How long a hook may take before another service tries it too."""
_AHEAD = 2 * _FIRST_WAIT * 2**MAX_TRIES
"""A time that lies further ahead was written by a clock that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One hook of one job."""

    delivery_id: int
    job_id: int
    hook: str
    tries: int
    """How often it has failed."""


def take_delivery(store: QueueStore, now: datetime) -> Delivery | None:
    """Take the hook that has been due longest; None where none is."""
    with store.change():
        row = store.base.execute(
            "UPDATE deliveries SET due = ? WHERE delivery_id = (SELECT delivery_id FROM deliveries"
            " WHERE due <= ? OR due > ? ORDER BY due LIMIT 1)"
            " RETURNING delivery_id, job_id, hook, tries",
            ((now + _HELD_FOR).timestamp(), now.timestamp(), (now + _AHEAD).timestamp()),
        ).fetchone()
    return row and Delivery(delivery_id=row[0], job_id=row[1], hook=row[2], tries=row[3])


def delivered(store: QueueStore, done: Delivery, now: datetime, who: str) -> None:
    """Note that a hook has run."""
    with store.change():
        _forget(store, done)
        store.log(done.job_id, now, who, done.hook, "delivered")


def delivery_failed(store: QueueStore, failed: Delivery, now: datetime, who: str, why: str) -> None:
    """Note that a hook failed; it is due again after a while, each time a longer one."""
    tries = failed.tries + 1
    with store.change():
        if tries >= MAX_TRIES:
            _forget(store, failed)
            store.log(failed.job_id, now, who, failed.hook, f"given up after {tries} tries: {why}")
            return
        due = now + _FIRST_WAIT * 2**failed.tries
        store.base.execute(
            "UPDATE deliveries SET tries = ?, due = ? WHERE delivery_id = ?",
            (tries, due.timestamp(), failed.delivery_id),
        )
        store.log(failed.job_id, now, who, failed.hook, f"failed: {why}")


def _forget(store: QueueStore, done: Delivery) -> None:
    store.base.execute("DELETE FROM deliveries WHERE delivery_id = ?", (done.delivery_id,))
