"""The pool: starts workers, carries out the dispatch core's instructions, and waits for answers.

The only place of the render path that waits for Ray. Not for: decisions (`scheduler.dispatch`).
"""

from __future__ import annotations

import logging
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
from farm.errors import ChunkError, ClusterError, FarmError, JobError, ProviderError
from farm.media.plan import FramePlan
from scheduler.chunks import Chunk
from scheduler.dispatch import Dispatch, Fail, Instruction, Render, StartWorker
from scheduler.workers import WorkerPlan, WorkerSeat

log = logging.getLogger(__name__)

_POLL_S = 1.0
_MEMORY_WAIT_S = 5.0
_ACTOR_CONCURRENCY = 4
_MAX_FALSE_STARTS = 3


@dataclass(slots=True)
class _Attempt:
    """An answer that is waited for."""

    worker: int
    order: Render


class WorkerPool:
    """The workers of one job. Use as a context manager: leaving it ends them."""

    def __init__(self, setup: RenderSetup, plan: WorkerPlan) -> None:
        self._setup = setup
        self._plan = plan
        self._seats: dict[int, WorkerSeat] = {}
        self._vacant: list[WorkerSeat] = []
        """Seats of workers that were lost, to be taken again."""
        self._actors: dict[int, Any] = {}
        self._tickets: dict[int, int] = {}
        self._starting: dict[Any, int] = {}
        self._waiting: dict[Any, _Attempt] = {}
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
        while not dispatch.finished:
            stopping = stop()
            if stopping and not self._waiting:
                return
            refs = [*self._waiting] if stopping else [*self._starting, *self._waiting]
            ready, _ = ray.wait(refs, num_returns=1, timeout=_POLL_S)
            for ref in ready:
                instructions = self._event(ref, dispatch, shipper, done)
                if not stopping:
                    self._carry_out(instructions, plan, shipper)

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
        attempt = self._waiting.pop(ref, None)
        if attempt is None:
            return []
        worker, chunk = attempt.worker, attempt.order.chunk
        try:
            answer: Answer = ray.get(ref)
        except RayActorError as error:
            return self._worker_gone(worker, dispatch, error)
        except RayTaskError as error:
            return self._attempt_failed(worker, chunk, dispatch, error)
        if answer.outcome is Outcome.DONE and answer.result is not None:
            shipper.release(chunk.chunk_index)
            done(worker, answer.result)
            return dispatch.chunk_done(worker, chunk)
        if answer.outcome is Outcome.DECODER_CLOSED:
            return dispatch.decoder_closed(worker, chunk)
        if answer.outcome is Outcome.FALSE_KEYFRAME:
            return dispatch.keyframe_false(worker, chunk, attempt.order.packet_start)
        return dispatch.frames_missing(worker, chunk)

    def _worker_up(self, ref: Any, dispatch: Dispatch) -> list[Instruction]:
        """A worker answered for the first time, or did not come up."""
        worker = self._starting.pop(ref)
        try:
            self.facts[worker] = ray.get(ref)
        except RayTaskError as error:
            self._cannot_work(worker, error)
            return []
        except RayActorError as error:
            self._not_up(worker, error)
            return []
        return dispatch.worker_up(worker)

    def _cannot_work(self, worker: int, error: RayTaskError) -> None:
        """A worker is up and not able to work: on a broken device, say. Others go on without it.

        Its process stays, so that Ray gives its device to nobody else of this job.
        """
        cause = _cause(error)
        seat = self._seats[worker]
        if len(self._seats) == 1 or not isinstance(cause, ProviderError):
            raise cause from error
        del self._seats[worker]
        log.warning("worker %d on node %s cannot work: %s", worker, seat.node, cause.message)

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
        log.warning("worker %d is lost: %s", worker, str(error).splitlines()[0])
        self._actors.pop(worker, None)
        self._vacant.append(self._seats.pop(worker))
        for ref in [r for r, attempt in self._waiting.items() if attempt.worker == worker]:
            del self._waiting[ref]
        return dispatch.worker_lost(worker)

    def _attempt_failed(
        self, worker: int, chunk: Chunk, dispatch: Dispatch, error: RayTaskError
    ) -> list[Instruction]:
        """An attempt raised; what another attempt cannot mend ends the job."""
        cause = _cause(error)
        if isinstance(cause, LostFramesError) or not isinstance(cause, ChunkError):
            raise cause from error
        log.warning("chunk %05d: %s", chunk.chunk_index, cause.message)
        return dispatch.chunk_failed(worker, chunk, cause.message)

    def _carry_out(
        self, instructions: Iterable[Instruction], plan: FramePlan, shipper: PacketShipper
    ) -> None:
        for instruction in instructions:
            match instruction:
                case Render():
                    self._render(instruction, plan, shipper)
                case StartWorker():
                    self._start(max(self._tickets) + 1, self._vacant.pop(0))
                case Fail(message):
                    raise JobError(f"{message}; finished chunks are kept, run the command again")

    def _start(self, number: int, seat: WorkerSeat) -> None:
        """Start a worker; it counts as up when it says what it is."""
        remote: Any = ray.remote(ChunkWorker)
        actor = remote.options(
            num_cpus=1,
            num_gpus=seat.gpu_share,
            max_concurrency=_ACTOR_CONCURRENCY,
            max_restarts=0,
            scheduling_strategy=scheduling(seat),
        ).remote(setup_for(self._setup, seat), seat.devices)
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
        blocks = shipper.ship(chunk.chunk_index, begin, chunk.packet_limit)
        shipment = Shipment(
            ticket=self._tickets[order.worker],
            task=chunk_task(
                chunk,
                plan,
                packet_start=order.packet_start,
                shipped_from=begin,
                proven=order.proven,
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
