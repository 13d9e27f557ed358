"""The workers of a job as processes: started in their seats, asked for signs of life, ended.

Not for: what they are to do (`actors.pool`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError

from actors.seat import scheduling, setup_for
from actors.worker import ChunkWorker, WorkerFacts
from farm.chunk_task import RenderSetup
from scheduler.workers import WorkerSeat

log = logging.getLogger(__name__)

_ACTOR_CONCURRENCY = 16
"""Chunks that a worker may hold, and questions that it answers meanwhile."""
_ASK_S = 1.0
_ASKS_A_SECOND = 100
_MEMORY_WAIT_S = 5.0
_END_S = 3.0


class WorkerCrew:
    """Actors by worker number, and the references of what they were asked about themselves."""

    def __init__(self, setup: RenderSetup, keeper: Any = None) -> None:
        self._setup = setup
        self._keeper = keeper
        self.actors: dict[int, Any] = {}
        self.seats: dict[int, WorkerSeat] = {}
        self.vacant: list[WorkerSeat] = []
        """Seats of workers that were lost, to be taken again."""
        self.starting: dict[Any, int] = {}
        self.asked: dict[Any, int] = {}
        """Workers that were asked how much they have done."""
        self.facts: dict[int, WorkerFacts] = {}
        self._since_s: dict[int, float] = {}
        self._next = 0
        self._ask_again_s = 0.0

    def start(self, seat: WorkerSeat) -> int:
        """Start a worker; it counts as up when it says what it is. Returns its number."""
        number = self._next
        self._next += 1
        remote: Any = ray.remote(ChunkWorker)
        actor = remote.options(
            num_cpus=1,
            num_gpus=seat.gpu_share,
            max_concurrency=_ACTOR_CONCURRENCY,
            max_restarts=0,
            scheduling_strategy=scheduling(seat),
        ).remote(setup_for(self._setup, seat), seat.devices, self._keeper)
        self.actors[number] = actor
        self.seats[number] = seat
        self._since_s[number] = time.monotonic()
        self.starting[actor.start.remote()] = number
        return number

    def seat_again(self, living: frozenset[str]) -> WorkerSeat:
        """Return a seat that a lost worker has left; where its node is gone, one anywhere."""
        seat = self.vacant.pop()
        if seat.node_id and seat.node_id not in living:
            return replace(seat, node_id="", node="", devices=None)
        return seat

    def all_up(self, limit_s: float) -> bool:
        """Wait until every worker that was started has answered; tell whether all did in time."""
        starting = list(self.starting)
        if not starting:
            return True
        return not ray.wait(starting, num_returns=len(starting), timeout=limit_s)[1]

    def overdue(self, limit_s: float) -> list[int]:
        """Return workers that were started long ago and are not up."""
        late = time.monotonic() - limit_s
        return [n for n in self.starting.values() if self._since_s[n] < late]

    def ask(self) -> None:
        """Ask workers how much they have done, each about once a second."""
        now = time.monotonic()
        if now < self._ask_again_s:
            return
        self._ask_again_s = now + max(_ASK_S, len(self.actors) / _ASKS_A_SECOND)
        silent = set(self.asked.values()) | set(self.starting.values())
        for worker, actor in self.actors.items():
            if worker not in silent:
                self.asked[actor.activity.remote()] = worker

    def on_nodes(self, node_ids: frozenset[str]) -> list[int]:
        """Return the workers that are up on these nodes."""
        return [
            number
            for number, facts in self.facts.items()
            if number in self.actors and facts.node_id in node_ids
        ]

    def node_of(self, worker: int) -> str:
        """Return the name of a worker's node."""
        facts = self.facts.get(worker)
        return facts.node if facts else ""

    def forget(self, worker: int) -> None:
        """Expect nothing more of a worker."""
        if self.actors.pop(worker, None) is not None and worker in self.seats:
            self.vacant.append(self.seats.pop(worker))
        self.starting = {ref: each for ref, each in self.starting.items() if each != worker}
        self.asked = {ref: each for ref, each in self.asked.items() if each != worker}

    def stop(self, worker: int) -> None:
        """End a worker, even one that stands still."""
        self._stop([worker])

    def stop_all(self) -> None:
        """End all workers."""
        self._stop(list(self.actors))

    def _stop(self, workers: Sequence[int]) -> None:
        """Ask Ray to end workers, and kill those of this machine that are deaf to it."""
        here = os.uname().nodename
        left: list[psutil.Process] = []
        for worker in workers:
            actor, facts = self.actors.get(worker), self.facts.get(worker)
            self.forget(worker)
            if actor is None:
                continue
            if facts is not None and facts.node == here and facts.pid != os.getpid():
                with suppress(psutil.NoSuchProcess):
                    left.append(psutil.Process(facts.pid))
            ray.kill(actor)
        for process in psutil.wait_procs(left, timeout=_END_S)[1]:
            with suppress(psutil.Error):
                process.kill()

    def memory_bytes(self) -> dict[int, int]:
        """Return the proportional set size of each worker that answers, by its number."""
        refs = {actor.memory_bytes.remote(): number for number, actor in self.actors.items()}
        if not refs:
            return {}
        ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=_MEMORY_WAIT_S)
        found = {}
        for ref in ready:
            # A worker that has just died has no memory to speak of.
            with suppress(RayActorError):
                found[refs[ref]] = ray.get(ref)
        return found


def last_line(error: Exception) -> str:
    """Return the line of Ray's long explanation that says most."""
    lines: Sequence[str] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
