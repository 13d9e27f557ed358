"""The pool: starts workers, carries out the dispatch core's instructions, and waits for answers.

The only place of the render path that waits for Ray. Not for: decisions (`scheduler.dispatch`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.shipping import PacketShipper
from actors.worker import Answer, ChunkWorker, Outcome, Shipment, WorkerFacts
from farm.errors import ChunkError, ClusterError, FarmError, JobError
from farm.media.decode import DecodeRequest
from farm.media.plan import FramePlan
from farm.render import ChunkResult, ChunkTask, LostFramesError, RenderSetup
from scheduler.chunks import Chunk
from scheduler.dispatch import Dispatch, Fail, Instruction, Render, StartWorker
from scheduler.workers import WorkerPlan

log = logging.getLogger(__name__)

_POLL_S = 1.0
_ACTOR_CONCURRENCY = 4


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
        self._actors: dict[int, Any] = {}
        self._tickets: dict[int, int] = {}
        self._starting: dict[Any, int] = {}
        self._waiting: dict[Any, _Attempt] = {}
        self.facts: dict[int, WorkerFacts] = {}

    def __enter__(self) -> WorkerPool:
        for number in range(self._plan.workers):
            self._start(number)
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
    ) -> None:
        """Render all chunks of `dispatch`.

        Args:
            dispatch: What is to be done.
            plan: The frames.
            shipper: Puts packets into the store.
            done: Called with worker and result of each chunk, once.

        Raises:
            FarmError: The job cannot be finished; the first cause.
        """
        while not dispatch.finished:
            refs = [*self._starting, *self._waiting]
            ready, _ = ray.wait(refs, num_returns=1, timeout=_POLL_S)
            for ref in ready:
                self._carry_out(self._event(ref, dispatch, shipper, done), plan, shipper)

    def memory_bytes(self) -> dict[int, int]:
        """Return the proportional set size of each worker, by its number."""
        refs = {number: actor.memory_bytes.remote() for number, actor in self._actors.items()}
        return dict(zip(refs, ray.get(list(refs.values())), strict=True))

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
            raise _cause(error) from error
        except RayActorError as error:
            raise _start_error(error) from error
        return dispatch.worker_up(worker)

    def _worker_gone(
        self, worker: int, dispatch: Dispatch, error: RayActorError
    ) -> list[Instruction]:
        """A worker died: forget it and everything that it was asked."""
        log.warning("worker %d is lost: %s", worker, str(error).splitlines()[0])
        self._actors.pop(worker, None)
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
                    self._start(max(self._tickets) + 1)
                case Fail(message):
                    raise JobError(f"{message}; finished chunks are kept, run the command again")

    def _start(self, number: int) -> None:
        """Start a worker; it counts as up when it says what it is."""
        actor = (
            ray.remote(ChunkWorker)
            .options(
                num_cpus=1,
                num_gpus=self._plan.gpus_each,
                max_concurrency=_ACTOR_CONCURRENCY,
                max_restarts=0,
                scheduling_strategy="SPREAD",
            )
            .remote(self._setup)
        )
        self._actors[number] = actor
        self._tickets[number] = 0
        self._starting[actor.facts.remote()] = number

    def _render(self, order: Render, plan: FramePlan, shipper: PacketShipper) -> None:
        """Ship a chunk's packets and ask a worker for it."""
        chunk = order.chunk
        follows = order.after is not None
        shipped_from = order.after.packet_stop if order.after is not None else order.packet_start
        shipped_from = min(shipped_from, chunk.packet_stop - 1)
        if not follows:
            shipped_from = order.packet_start
        blocks = shipper.ship(chunk.chunk_index, shipped_from, chunk.packet_limit)
        frames = slice(chunk.frame_start, chunk.frame_stop)
        task = ChunkTask(
            chunk_index=chunk.chunk_index,
            frame_start=chunk.frame_start,
            pts=tuple(int(pts) for pts in plan.times.pts[frames]),
            request=DecodeRequest(
                wanted=tuple(int(packet) for packet in plan.packets[frames]),
                packet_start=order.packet_start,
                packet_stop=chunk.packet_limit,
                shipped_from=shipped_from,
                proven=order.proven,
            ),
        )
        shipment = Shipment(
            ticket=self._tickets[order.worker],
            task=task,
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


def _start_error(error: RayError) -> FarmError:
    """Say why a worker did not come up; the actor's own error is inside of Ray's text."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, FarmError):
        return cause
    lines = [line for line in str(error).splitlines() if line.strip()]
    return ClusterError(f"a worker did not start ({lines[-1].strip()}); see the log with --debug")
