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
from farm.errors import ContentError, DamagedSource, Interrupted, JobError
from scheduler.queue.claims import (
    LEASE,
    Lease,
    claim,
    claim_output,
    died,
    finish,
    give_back,
    heartbeat,
)
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
_TROUBLE_S = 5.0
"""How long it waits where the queue or the logs cannot be written."""
_KEEP = timedelta(seconds=1)
"""How often a service says how far its jobs are, and hears what users want."""
_TIDY = timedelta(minutes=10)
_MOST_DEATHS = 3
"""How often the process of a job may die before the job is given up."""
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
            job.values, path, owns_output=job.owns_output
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
        self._trouble = ""
        """What keeps the queue from being written."""
        self.failed: list[int] = []
        """Jobs that ended here without what they were to make."""

    def drain(self) -> None:
        """Begin no further job and let those in hand finish their chunks; the second time stop."""
        self._drains += 1
        self._wake.set()

    def run(self, *, until_empty: bool = False) -> None:
        """Work through the queue.

        Args:
            until_empty: Whether to end when no job is left that may run.

        Where the queue cannot be written (its disk is full, say), jobs in hand go on, and it is
        tried again until it can.
        """
        try:
            while not self.look(until_empty=until_empty):
                self._wake.wait(_TROUBLE_S if self._trouble else _POLL_S)
                self._wake.clear()
        finally:
            for each in self._running:
                each.runner.close()
            self._courier.shutdown()

    def look(self, *, until_empty: bool) -> bool:
        """Look around once and tell whether all is done; what cannot be written is said once."""
        try:
            if self._is_done(until_empty):
                return True
            self.step()
            self._trouble = ""
        except JobError as error:
            if error.message != self._trouble:
                log.warning("%s; it is tried again", error.message)
            self._trouble = error.message
            return self._drains > 1
        return False

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
            self._begin(*found)

    def _begin(self, lease: Lease, job: QueueJob) -> None:
        """Start the process of a job.

        Raises:
            JobError: It cannot be started; the job waits again.
        """
        if not job.output.exists():
            claim_output(self._store, lease)
        try:
            # An output that the first attempt finds is somebody else's.
            runner = self._start(job, self.log_path(job.job_id))
        except JobError as error:
            give_back(self._store, lease, self._clock(), JobState.WAITING, error.message)
            raise
        log.info("job %d begins, attempt %d", job.job_id, job.attempts)
        self._running.append(_Running(lease, job, runner))

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
        elif request is None and each.state is JobState.PAUSED:
            each.state, each.why = JobState.WAITING, "resumed"

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
        end = each.runner.outcome()
        each.runner.close()
        now, number, code = self._clock(), each.job.job_id, end.exit_code
        if each.lost:
            return
        if each.asked is JobRequest.CANCEL and code in (None, Interrupted.exit_code):
            finish(self._store, each.lease, now, JobOutcome.CANCELLED, code, "")
            return
        if code == Interrupted.exit_code:
            give_back(self._store, each.lease, now, each.state, each.why or end.message)
            return
        if code is None and each.job.deaths + 1 < _MOST_DEATHS:
            died(self._store, each.lease, now, end.message)
            return
        outcome = JobOutcome.FAILED if code is None else _OUTCOMES.get(code, JobOutcome.FAILED)
        hooks = self._hooks.names
        if finish(self._store, each.lease, now, outcome, code, end.message, hooks):
            if outcome is JobOutcome.FAILED:
                self.failed.append(number)
            log.info("job %d ended: %s", number, outcome)
