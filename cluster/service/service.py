"""The service: takes jobs from the queue, runs so many side by side, and keeps their leases.

It may be killed at any moment: its jobs end with it, and another service (or itself, started again)
goes on with them from their finished chunks. Not for: HTTP (`cluster.service.web`).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster.service.hooks import Hooks
from cluster.service.runner import JobRunner
from farm.errors import ContentError, DamagedSource, Interrupted
from scheduler.queue.claims import LEASE, Lease, claim, finish, give_back, heartbeat
from scheduler.queue.deliveries import (
    Delivery,
    delivered,
    delivery_failed,
    take_delivery,
)
from scheduler.queue.records import JobOutcome, JobRequest, JobState, QueueJob
from scheduler.queue.retention import Retention, tidy
from scheduler.queue.store import JobFilter, QueueStore
from scheduler.schedules.store import fire_due
from scheduler.windows import are_open, stored_are_open

log = logging.getLogger(__name__)

_POLL_S = 0.5
_KEEP = timedelta(seconds=1)
"""How often a service says how far its jobs are, and hears what users want."""
_TIDY = timedelta(minutes=10)
_MOST_DEATHS = 3
"""Attempts after which a job whose process dies is given up."""
_OUTCOMES = {
    0: JobOutcome.DONE,
    DamagedSource.exit_code: JobOutcome.DAMAGED,
    ContentError.exit_code: JobOutcome.REFUSED,
}


@dataclass(slots=True)
class _Running:
    """A job in hand."""

    lease: Lease
    job: QueueJob
    runner: JobRunner
    asked: JobRequest | None = None
    why: str = ""
    """Why it was asked to pause."""
    state: JobState = JobState.WAITING
    """What it becomes when it has drained."""
    lost: bool = False


class Service:
    """One service. `run` works until `drain` was called or nothing is left."""

    def __init__(
        self,
        store: QueueStore,
        *,
        log_dir: Path,
        side_by_side: int = 1,
        lease: timedelta = LEASE,
        hooks: Hooks | None = None,
        retention: Retention | None = None,
        start: Callable[[QueueJob, Path], JobRunner] = lambda job, path: JobRunner(
            job.values, path
        ),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what it works with.

        Args:
            store: The queue, which belongs to the thread that calls `run`.
            log_dir: One log per job goes there.
            side_by_side: How many jobs run at once.
            lease: How long a job stays this service's without a word.
            hooks: What is done after a job.
            retention: How long things are kept.
            start: Starts the process of a job.
            clock: Aware UTC.
        """
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._store = store
        self._log_dir = log_dir
        self._side_by_side = side_by_side
        self._lease = lease
        self._hooks = hooks or Hooks()
        self._start = start
        self._clock = clock
        self._running: list[_Running] = []
        self._kept = clock()
        self._retention = retention or Retention()
        self._tidied: datetime | None = None
        self._drains = 0
        self._wake = threading.Event()
        self._courier = ThreadPoolExecutor(1, "hooks")
        self._on_its_way: tuple[Delivery, Future[None]] | None = None

    def drain(self) -> None:
        """Begin no further job and let those in hand finish their chunks; the second time stop."""
        self._drains += 1
        self._wake.set()

    def run(self, *, until_empty: bool = False) -> None:
        """Work through the queue.

        Args:
            until_empty: Whether to end when no job is left that may run.

        Raises:
            JobError: The queue cannot be written.
        """
        try:
            while not self._is_done(until_empty):
                self.step()
                self._wake.wait(_POLL_S)
                self._wake.clear()
        finally:
            for each in self._running:
                each.runner.close()
            self._courier.shutdown()

    def step(self) -> None:
        """Look around once: jobs in hand, hooks that are due, jobs to begin."""
        self._tend()
        self._deliver()
        if not self._drains:
            self._tidy()
            fire_due(self._store, self._clock())
            self._fill()

    def settle(self) -> None:
        """Wait for the hook that is being carried out."""
        if self._on_its_way is not None:
            wait([self._on_its_way[1]])

    def _is_done(self, until_empty: bool) -> bool:
        if self._running or self._on_its_way:
            return False
        if self._drains:
            return True
        left = (JobState.WAITING, JobState.HELD, JobState.RUNNING)
        return until_empty and not self._store.jobs(JobFilter(states=left, limit=1))

    def _fill(self) -> None:
        """Take jobs while there is room."""
        now = self._clock()
        while len(self._running) < self._side_by_side:
            found = claim(
                self._store,
                self.name,
                now,
                is_open=lambda text: stored_are_open(text, now),
                lease=self._lease,
            )
            if found is None:
                return
            lease, job = found
            log.info("job %d begins, attempt %d", job.job_id, job.attempts)
            self._running.append(_Running(lease, job, self._start(job, self.log_path(job.job_id))))

    def _deliver(self) -> None:
        """Carry out hooks that are due, one at a time, beside everything else."""
        now = self._clock()
        if self._on_its_way is not None:
            delivery, sent = self._on_its_way
            if not sent.done():
                return
            self._on_its_way = None
            if error := sent.exception():
                delivery_failed(self._store, delivery, now, self.name, str(error))
            else:
                delivered(self._store, delivery, now, self.name)
        if self._hooks.names and not self._drains and (due := take_delivery(self._store, now)):
            job = self._store.get(due.job_id)
            self._on_its_way = due, self._courier.submit(self._hooks.run, due.hook, job, now)

    def _tidy(self) -> None:
        """Delete what is not kept any longer, every now and then."""
        now = self._clock()
        if self._tidied is None or now - self._tidied >= _TIDY:
            self._tidied = now
            tidy(self._store, self._retention, now, self.log_path)

    def log_path(self, job_id: int) -> Path:
        """Where the log of a job lies."""
        return self._log_dir / f"job-{job_id}.log"

    def _tend(self) -> None:
        """Look after every job in hand, and write what became of those that ended."""
        now = self._clock()
        keep = now - self._kept >= min(self._lease / 4, _KEEP) or now < self._kept
        for each in [*self._running]:
            if each.runner.finished:
                self._end(each)
                self._running.remove(each)
                continue
            if keep:
                self._keep(each, now)
            self._mind(each, now)
        if keep:
            self._kept = now

    def _keep(self, each: _Running, now: datetime) -> None:
        """Renew a lease; where it was lost, the job is another service's."""
        held, request = heartbeat(self._store, each.lease, now, each.runner.progress, self._lease)
        if not held and not each.lost:
            log.warning("job %d was taken over by another service", each.job.job_id)
            each.lost = True
            each.runner.stop()
        elif request is not each.asked and request is not None:
            each.asked = request
            each.state, each.why = JobState.PAUSED, "asked"
            (each.runner.stop if request is JobRequest.CANCEL else each.runner.drain)()

    def _mind(self, each: _Running, now: datetime) -> None:
        """Let a job drain whose window closed, or whose service is to end."""
        if each.asked or each.lost:
            if self._drains > 1:
                each.runner.stop()
            return
        if self._drains:
            each.asked, each.why = JobRequest.PAUSE, "the service ends"
            each.runner.drain()
        elif not are_open(each.job.windows, now):
            each.asked, each.why = JobRequest.PAUSE, "its window closed"
            each.state = JobState.HELD
            each.runner.drain()

    def _end(self, each: _Running) -> None:
        """Write what became of a job."""
        code, message = each.runner.outcome()
        each.runner.close()
        now, number = self._clock(), each.job.job_id
        if each.lost:
            return
        if code == Interrupted.exit_code:
            if each.asked is JobRequest.CANCEL:
                finish(self._store, each.lease, now, JobOutcome.CANCELLED, code, "")
            else:
                give_back(self._store, each.lease, now, each.state, each.why or message)
            return
        if code < 0 and each.job.attempts < _MOST_DEATHS:
            give_back(self._store, each.lease, now, JobState.WAITING, message)
            return
        outcome = _OUTCOMES.get(code, JobOutcome.FAILED)
        hooks = self._hooks.names
        if finish(self._store, each.lease, now, outcome, code, message, hooks):
            log.info("job %d ended: %s", number, outcome)
