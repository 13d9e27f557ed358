"""The pool: starts workers, carries out the dispatch core's instructions, and waits for answers.

The only place of the render path that waits for Ray. Not for: decisions (`scheduler.dispatch`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.seat import scheduling, setup_for
from actors.shipping import PacketShipper
from actors.tasks import chunk_task
from actors.worker import Answer, ChunkWorker, Outcome, Shipment, WorkerFacts
from farm.chunk_task import ChunkResult, LostFramesError, RenderSetup
from farm.errors import (
    ChunkError,
    ClusterError,
    EncoderError,
    FarmError,
    JobError,
    ProviderError,
)
from farm.faces.casting import CastRows
from farm.media.plan import FramePlan
from scheduler.dispatch import Dispatch
from scheduler.instructions import (
    Drop,
    Fail,
    Instruction,
    Render,
    StartWorker,
    StopWorker,
    name_of,
)
from scheduler.workers import WorkerPlan, WorkerSeat

log = logging.getLogger(__name__)

_POLL_S = 1.0
_ASKS_A_SECOND = 100
_MEMORY_WAIT_S = 5.0
_ACTOR_CONCURRENCY = 16
"""Chunks that a worker may hold, and questions that it answers meanwhile."""
_MAX_FALSE_STARTS = 3


@dataclass(slots=True)
class _Attempt:
    """An answer that is waited for."""

    worker: int
    order: Render


class WorkerPool:
    """The workers of one job. Use as a context manager: leaving it ends them."""

    def __init__(
        self,
        setup: RenderSetup,
        plan: WorkerPlan,
        rows: CastRows | None = None,
        keeper: Any = None,
    ) -> None:
        """Take the job.

        Args:
            setup: What every worker must know.
            plan: The seats of the workers.
            rows: The face table, of which each chunk is given its rows; None without one.
            keeper: Takes files of workers that do not see the job's folder; None where all do.
        """
        self._setup = setup
        self._rows = rows
        self._keeper = keeper
        self._plan = plan
        self._seats: dict[int, WorkerSeat] = {}
        self._vacant: list[WorkerSeat] = []
        """Seats of workers that were lost, to be taken again."""
        self._actors: dict[int, Any] = {}
        self._tickets: dict[int, int] = {}
        self._starting: dict[Any, int] = {}
        self._waiting: dict[Any, _Attempt] = {}
        self._asked: dict[Any, int] = {}
        """Workers that were asked how much they have done."""
        self._ask_again_s = 0.0
        self._false_starts = 0
        self.facts: dict[int, WorkerFacts] = {}

    def __enter__(self) -> WorkerPool:
        for number, seat in enumerate(self._plan.seats):
            self._start(number, seat)
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()

    def run(
        self,
        dispatch: Dispatch,
        plan: FramePlan,
        shipper: PacketShipper,
        done: Callable[[int, ChunkResult], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Render the chunks of `dispatch`: all of them, or those in hand when `stop` says so.

        Args:
            dispatch: What is to be done; afterwards it knows whether all of it was.
            plan: The frames.
            shipper: Puts packets into the store.
            done: Called with worker and result of each chunk, once.
            stop: Asked about once a second whether no further chunk should be begun.

        Raises:
            FarmError: The job cannot be finished; the first cause.
        """
        stopping = False
        while not dispatch.finished:
            if stop() and not stopping:
                stopping = True
                dispatch.cancel()
            if stopping and not dispatch.working:
                return
            now = time.monotonic()
            instructions = dispatch.clock(now)
            self._ask(now)
            for ref in self._ready():
                instructions += self._event(ref, dispatch, shipper, done)
            if stopping:
                instructions = [each for each in instructions if not isinstance(each, Fail)]
            self._carry_out(instructions, plan, shipper)

    def _ready(self) -> list[Any]:
        """Wait for an answer, a second at most, and return all that are there."""
        refs = [*self._starting, *self._waiting, *self._asked]
        ready, rest = ray.wait(refs, num_returns=1, timeout=_POLL_S)
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(ready)

    def _ask(self, now: float) -> None:
        """Ask workers how much they have done, each about once a second."""
        if now < self._ask_again_s:
            return
        self._ask_again_s = now + max(_POLL_S, len(self._actors) / _ASKS_A_SECOND)
        silent = set(self._asked.values()) | set(self._starting.values())
        for worker, actor in self._actors.items():
            if worker not in silent:
                self._asked[actor.activity.remote()] = worker

    def memory_bytes(self) -> dict[int, int]:
        """Return the proportional set size of each worker that answers, by its number."""
        refs = {actor.memory_bytes.remote(): number for number, actor in self._actors.items()}
        ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=_MEMORY_WAIT_S)
        found = {}
        for ref in ready:
            # A worker that has just died has no memory to speak of.
            with suppress(RayActorError):
                found[refs[ref]] = ray.get(ref)
        return found

    def _event(
        self,
        ref: Any,
        dispatch: Dispatch,
        shipper: PacketShipper,
        done: Callable[[int, ChunkResult], None],
    ) -> list[Instruction]:
        """Turn what came back into an event of the dispatch core."""
        if ref in self._starting:
            return self._worker_up(ref, dispatch)
        if ref in self._asked:
            return self._told(ref, dispatch)
        attempt = self._waiting.pop(ref, None)
        if attempt is None:
            return []
        token = attempt.order.token
        try:
            answer: Answer = ray.get(ref)
        except RayActorError as error:
            return self._worker_gone(attempt.worker, dispatch, error)
        except RayTaskError as error:
            shipper.release(token)
            return self._attempt_failed(attempt.order, dispatch, error)
        shipper.release(token)
        if answer.outcome is Outcome.DONE and answer.result is not None:
            if dispatch.holds(token):
                done(attempt.worker, answer.result)
            return dispatch.chunk_done(token)
        if answer.outcome is Outcome.DECODER_CLOSED:
            return dispatch.decoder_closed(token)
        if answer.outcome is Outcome.FALSE_KEYFRAME:
            return dispatch.keyframe_false(token, attempt.order.packet_start)
        return dispatch.frames_missing(token)

    def _told(self, ref: Any, dispatch: Dispatch) -> list[Instruction]:
        """A worker said how much it has done."""
        worker = self._asked.pop(ref)
        try:
            return dispatch.progress(worker, ray.get(ref))
        except RayActorError as error:
            return self._worker_gone(worker, dispatch, error)

    def _worker_up(self, ref: Any, dispatch: Dispatch) -> list[Instruction]:
        """A worker answered for the first time, or did not come up."""
        worker = self._starting.pop(ref)
        try:
            self.facts[worker] = ray.get(ref)
        except RayTaskError as error:
            return self._cannot_work(worker, dispatch, error)
        except RayActorError as error:
            self._not_up(worker, error)
            return []
        return dispatch.worker_up(worker)

    def _cannot_work(
        self, worker: int, dispatch: Dispatch, error: RayTaskError
    ) -> list[Instruction]:
        """A worker is up and not able to work: on a broken device, say. Others go on without it.

        Its process stays, so that Ray gives its device to nobody else of this job.
        """
        cause = _cause(error)
        seat = self._seats[worker]
        if len(self._seats) == 1 or not isinstance(cause, ProviderError):
            raise cause from error
        del self._seats[worker]
        log.warning("worker %d on node %s cannot work: %s", worker, seat.node, cause.message)
        return dispatch.worker_not_up(cause.message)

    def _not_up(self, worker: int, error: RayActorError) -> None:
        """A worker died while it started: start another one, a few times."""
        self._actors.pop(worker, None)
        self._false_starts += 1
        if error.actor_init_failed or self._false_starts >= _MAX_FALSE_STARTS:
            raise ClusterError(
                f"workers do not start ({_last_line(error)}); `--debug` shows more"
            ) from error
        log.warning("worker %d died while it started; another one is started", worker)
        self._start(max(self._tickets) + 1, self._seats.pop(worker))

    def _worker_gone(
        self, worker: int, dispatch: Dispatch, error: RayActorError
    ) -> list[Instruction]:
        """A worker died: forget it and everything that it was asked."""
        if worker in self._actors:
            log.warning("worker %d is lost: %s", worker, str(error).splitlines()[0])
        self._forget(worker)
        return dispatch.worker_lost(worker)

    def _forget(self, worker: int) -> None:
        """Expect nothing more of a worker."""
        if self._actors.pop(worker, None) is not None and worker in self._seats:
            self._vacant.append(self._seats.pop(worker))
        self._waiting = {r: each for r, each in self._waiting.items() if each.worker != worker}
        self._asked = {ref: each for ref, each in self._asked.items() if each != worker}

    def _attempt_failed(
        self, order: Render, dispatch: Dispatch, error: RayTaskError
    ) -> list[Instruction]:
        """An attempt raised; what another attempt cannot mend ends the job."""
        cause = _cause(error)
        if isinstance(cause, LostFramesError) or not isinstance(cause, ChunkError):
            raise cause from error
        if dispatch.holds(order.token):
            log.warning("%s: %s", name_of(order.chunk), cause.message)
        instructions = dispatch.chunk_failed(order.token, cause.message)
        if isinstance(cause, EncoderError) and any(isinstance(i, Fail) for i in instructions):
            raise cause from error  # no worker has more luck: the job may take another encoder
        return instructions

    def _carry_out(
        self, instructions: Iterable[Instruction], plan: FramePlan, shipper: PacketShipper
    ) -> None:
        for instruction in instructions:
            match instruction:
                case Render():
                    self._render(instruction, plan, shipper)
                case StartWorker():
                    self._start(max(self._tickets) + 1, self._vacant.pop())
                case StopWorker(worker, reason):
                    self._stop(worker, reason)
                case Drop(worker, token):
                    shipper.release(token)
                    if worker in self._actors:
                        self._actors[worker].drop.remote(token)
                case Fail(message):
                    raise JobError(f"{message}; finished chunks are kept, run the command again")

    def _stop(self, worker: int, reason: str) -> None:
        """End a worker, frozen or not."""
        log.warning("%s", reason)
        actor = self._actors.get(worker)
        self._forget(worker)
        if actor is not None:
            ray.kill(actor)

    def _start(self, number: int, seat: WorkerSeat) -> None:
        """Start a worker; it counts as up when it says what it is."""
        remote: Any = ray.remote(ChunkWorker)
        actor = remote.options(
            num_cpus=1,
            num_gpus=seat.gpu_share,
            max_concurrency=_ACTOR_CONCURRENCY,
            max_restarts=0,
            scheduling_strategy=scheduling(seat),
        ).remote(setup_for(self._setup, seat), seat.devices, self._keeper)
        self._actors[number] = actor
        self._seats[number] = seat
        self._tickets[number] = 0
        self._starting[actor.start.remote()] = number

    def _render(self, order: Render, plan: FramePlan, shipper: PacketShipper) -> None:
        """Ship a chunk's packets and ask a worker for it."""
        chunk = order.chunk
        begin = order.packet_start
        if order.after is not None:
            # The decoder stands behind the chunk before; only what follows is shipped.
            begin = min(order.after.packet_stop, chunk.packet_stop - 1)
        blocks = shipper.ship(order.token, begin, chunk.packet_limit)
        shipment = Shipment(
            ticket=self._tickets[order.worker],
            token=order.token,
            task=chunk_task(
                chunk,
                plan,
                packet_start=order.packet_start,
                shipped_from=begin,
                proven=order.proven,
                rows=self._rows,
            ),
            starts=tuple(start for start, _ in blocks),
            refs=tuple(ref for _, ref in blocks),
        )
        self._tickets[order.worker] += 1
        ref = self._actors[order.worker].render.remote(shipment)
        self._waiting[ref] = _Attempt(order.worker, order)


def _cause(error: RayTaskError) -> FarmError:
    """Return the farm's own error inside of Ray's, or wrap what it is."""
    cause = error.cause if hasattr(error, "cause") else error
    if isinstance(cause, FarmError):
        return cause
    return ChunkError(f"a worker failed ({type(cause).__name__}: {cause})")


def _last_line(error: RayActorError) -> str:
    """Return the line of Ray's long explanation that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
