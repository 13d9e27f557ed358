"""One run of the pool: carries out the dispatch core's instructions, turns answers into its events.

With `actors.crew`, the only place of the render path that waits for Ray. Not for: decisions
(`scheduler.dispatch`) or processes (`actors.crew`).
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorUnschedulableError, RayActorError, RayTaskError

from actors.crew import WorkerCrew, last_line
from actors.node_watch import Newcomer, NodeWatch
from actors.nodes import NodeNews
from actors.shipping import PacketShipper
from actors.tasks import chunk_task, shipped_from
from actors.worker import Answer, Outcome, Shipment
from farm.chunk_task import ChunkResult, LostFramesError
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
from scheduler.ledger_records import AttemptNote

log = logging.getLogger(__name__)

_POLL_S = 1.0
_START_S = 1800.0
"""Engines for a GPU take minutes to build; longer than this a worker is not waited for."""
_MAX_FALSE_STARTS = 3
_NODE_DIED = ("node has died", "node was terminated", "node died", "node is dead", "node failure")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An answer that is waited for."""

    worker: int
    order: Render


class PoolRun:
    """Everything that happens from the first worker up to the last chunk done."""

    def __init__(
        self,
        crew: WorkerCrew,
        dispatch: Dispatch,
        plan: FramePlan,
        shipper: PacketShipper,
        done: Callable[[int, ChunkResult], None],
        note: Callable[[AttemptNote], None],
        rows: CastRows | None,
    ) -> None:
        """Take the workers, which are started, and what they are to do; see `WorkerPool.run`."""
        self._crew = crew
        self._dispatch = dispatch
        self._plan = plan
        self._shipper = shipper
        self._done = done
        self._note = note
        self._rows = rows
        self._stopping = False
        self._waiting: dict[Any, _Attempt] = {}
        self._sent: Counter[int] = Counter()
        """By worker: orders that were sent and not answered."""
        self._tickets: Counter[int] = Counter()
        self._deferred: deque[Render] = deque()
        """Orders that wait for room in the store."""
        self._false_starts = 0
        self._nodes = NodeWatch(NodeNews, None, ())
        self._room: Callable[[float], bool] = lambda _: True
        self._say: Callable[[str], None] = log.info

    def watch_nodes(
        self, nodes: NodeWatch, room: Callable[[float], bool], say: Callable[[str], None]
    ) -> None:
        """Say how to learn of nodes; see `WorkerPool`."""
        self._nodes, self._room, self._say = nodes, room, say

    def until_done(self, stop: Callable[[], bool]) -> None:
        """Go on until all is done, or what is in hand when `stop` says so.

        Raises:
            FarmError: The job cannot be finished.
        """
        while not self._dispatch.finished:
            if stop() and not self._stopping:
                self._stopping = True
                self._dispatch.cancel()
            if self._stopping and not self._dispatch.working:
                return
            self._carry_out(self._dispatch.clock(time.monotonic()))
            self._look_at_nodes()
            self._crew.ask()
            for ref in self._ready():
                self._carry_out(self._event(ref))
            self._send_deferred()

    def _ready(self) -> list[Any]:
        """Wait for an answer, a second at most, and return all that are there."""
        refs = [*self._crew.starting, *self._waiting, *self._crew.asked]
        if not refs and self._nodes.is_asking:
            self._nodes.wait(_POLL_S)
            return []
        if not refs:
            raise JobError("no worker is left; finished chunks are kept, run the command again")
        ready, rest = ray.wait(refs, num_returns=1, timeout=_POLL_S)
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(ready)

    def _event(self, ref: Any) -> list[Instruction]:
        """Turn what came back into an event of the dispatch core."""
        if ref in self._crew.starting:
            return self._worker_up(ref)
        if ref in self._crew.asked:
            return self._told(ref)
        attempt = self._waiting.pop(ref, None)
        if attempt is None:
            return []
        self._sent[attempt.worker] -= 1
        order = attempt.order
        self._shipper.release(order.token)
        try:
            answer: Answer = ray.get(ref)
        except RayActorError as error:
            self._tell(attempt.worker, order, "lost")
            return self._worker_gone(attempt.worker, error)
        except RayTaskError as error:
            return self._attempt_failed(attempt.worker, order, error)
        return self._answered(attempt.worker, order, answer)

    def _answered(self, worker: int, order: Render, answer: Answer) -> list[Instruction]:
        """An attempt came to an end without an error."""
        dispatch, token = self._dispatch, order.token
        wanted = dispatch.holds(token)
        if answer.outcome is Outcome.DONE and answer.result is not None and wanted:
            self._done(worker, answer.result)
            self._tell(worker, order, "done")
            return dispatch.chunk_done(token)
        self._tell(worker, order, answer.outcome if wanted else "dropped")
        if answer.outcome is Outcome.DECODER_CLOSED:
            return dispatch.decoder_closed(token)
        if answer.outcome is Outcome.FALSE_KEYFRAME:
            return dispatch.keyframe_false(token, order.packet_start)
        return dispatch.frames_missing(token)

    def _attempt_failed(self, worker: int, order: Render, error: RayTaskError) -> list[Instruction]:
        """An attempt raised; what another attempt cannot mend ends the job."""
        cause = _cause(error)
        self._tell(worker, order, "failed")
        if not self._dispatch.holds(order.token):
            return []
        if isinstance(cause, LostFramesError) or not isinstance(cause, ChunkError):
            raise cause from error
        log.warning("%s: %s", name_of(order.chunk), cause.message)
        instructions = self._dispatch.chunk_failed(order.token, cause.message)
        if isinstance(cause, EncoderError) and any(isinstance(i, Fail) for i in instructions):
            raise cause from error  # no worker has more luck: the job may take another encoder
        return instructions

    def _told(self, ref: Any) -> list[Instruction]:
        """A worker said how much it has done."""
        worker = self._crew.asked.pop(ref)
        try:
            return self._dispatch.progress(worker, ray.get(ref))
        except RayActorError as error:
            return self._worker_gone(worker, error)

    def _worker_up(self, ref: Any) -> list[Instruction]:
        """A worker answered for the first time, or did not come up."""
        worker = self._crew.starting.pop(ref)
        try:
            self._crew.facts[worker] = ray.get(ref)
        except RayTaskError as error:
            return self._cannot_work(worker, error)
        except RayActorError as error:
            return self._not_up(worker, error)
        except ActorUnschedulableError:
            return self._nowhere(worker)
        return self._dispatch.worker_up(worker)

    def _nowhere(self, worker: int) -> list[Instruction]:
        """The node that a worker was to be started on is gone: start it elsewhere."""
        seat = self._crew.seats[worker]
        self._crew.forget(worker)
        if not seat.node_id:
            return self._dispatch.worker_not_up("no node can have another worker")
        self._nodes.gone(seat.node_id)
        log.warning("node %s is gone: its worker is started elsewhere", seat.node)
        return self._start_again()

    def _cannot_work(self, worker: int, error: RayTaskError) -> list[Instruction]:
        """A worker is up and not able to work: on a broken device, say. Others go on without it.

        Its process stays, so that Ray gives its device to nobody else of this job.
        """
        cause = _cause(error)
        if len(self._crew.seats) == 1 or not isinstance(cause, ProviderError):
            raise cause from error
        seat = self._crew.seats.pop(worker)
        log.warning("worker %d on node %s cannot work: %s", worker, seat.node, cause.message)
        return self._dispatch.worker_not_up(cause.message)

    def _not_up(self, worker: int, error: RayActorError) -> list[Instruction]:
        """A worker died while it started: start another one, a few times."""
        self._crew.forget(worker)
        self._false_starts += not self._by_node(error)
        if error.actor_init_failed or self._false_starts >= _MAX_FALSE_STARTS:
            raise ClusterError(
                f"workers do not start ({last_line(error)}); `--debug` shows more"
            ) from error
        log.warning("worker %d died while it started; another one is started", worker)
        return self._start_again()

    def _worker_gone(self, worker: int, error: RayActorError) -> list[Instruction]:
        """A worker died: forget it and everything that it was asked."""
        by_node = self._by_node(error)
        if worker in self._crew.actors:
            what = "with its node" if by_node else str(error).splitlines()[0]
            log.warning("worker %d is lost: %s", worker, what)
        self._forget(worker, "lost")
        return self._dispatch.worker_lost(worker, by_node=by_node)

    def _by_node(self, error: RayActorError) -> bool:
        """Tell whether a worker is gone because its node is."""
        said = str(error).casefold()
        return any(text in said for text in _NODE_DIED)

    def _forget(self, worker: int, outcome: str) -> None:
        """Expect nothing more of a worker."""
        self._crew.forget(worker)
        self._sent.pop(worker, None)
        for ref in [r for r, attempt in self._waiting.items() if attempt.worker == worker]:
            order = self._waiting.pop(ref).order
            self._shipper.release(order.token)
            self._tell(worker, order, outcome)

    def _carry_out(self, instructions: Sequence[Instruction]) -> None:
        """Do as the dispatch core says."""
        todo = deque(instructions)
        while todo:
            instruction = todo.popleft()
            match instruction:
                case Render():
                    self._deferred.append(instruction)
                case StartWorker():
                    todo.extend(self._start_again())
                case StopWorker(worker, reason):
                    log.warning("%s", reason)
                    self._crew.stop(worker)
                    self._forget(worker, "stopped")
                case Drop(worker, token):
                    if worker in self._crew.actors:
                        self._crew.actors[worker].drop.remote(token)
                case Fail(message) if not self._stopping:
                    raise JobError(f"{message}; finished chunks are kept, run the command again")
        self._send_deferred()

    def _start_again(self) -> list[Instruction]:
        """Start a worker in the place of one that is gone, if any node has room for it."""
        seat = self._crew.seat_again(self._nodes.living)
        if not seat.node_id and not self._room(seat.gpu_share):
            return self._dispatch.worker_not_up("no node has room for another worker")
        self._crew.start(seat)
        return []

    def _look_at_nodes(self) -> None:
        """Use nodes that have joined, leave those that drain, give up workers that never come."""
        for newcomer in self._nodes.answers():
            self._use(newcomer)
        news = self._nodes.look()
        if news is None:
            return
        for worker in self._crew.on_nodes(news.draining):
            node = self._crew.node_of(worker)
            self._say(f"node {node} is to be left: worker {worker} finishes what it has in hand")
            self._carry_out(self._dispatch.draining(worker))
        # Each counts as a worker on its way: the job is not given up while it is asked.
        for _ in range(self._nodes.ask_newcomers(len(self._crew.seats))):
            self._carry_out(self._dispatch.worker_coming())
        for worker in self._crew.overdue(_START_S):
            self._crew.stop(worker)
            self._carry_out(
                self._dispatch.worker_not_up(f"worker {worker} did not start in {_START_S:.0f} s")
            )

    def _use(self, newcomer: Newcomer) -> None:
        """Start the workers of a node that has joined."""
        self._say(newcomer.said)
        if not newcomer.seats:
            self._carry_out(self._dispatch.worker_not_up(newcomer.said))
        for number, seat in enumerate(newcomer.seats):
            if number:  # one was counted on when the node was asked
                self._carry_out(self._dispatch.worker_coming())
            self._crew.start(seat)

    def _send_deferred(self) -> None:
        """Send orders while there is room in the store, and to workers that have none in hand."""
        waits: set[int] = set()
        for _ in range(len(self._deferred)):
            order = self._deferred.popleft()
            if not self._dispatch.holds(order.token):
                continue
            fits = self._shipper.has_room(shipped_from(order), order.chunk.packet_limit)
            if order.worker in waits or (self._sent[order.worker] and not fits):
                waits.add(order.worker)
                self._deferred.append(order)
            else:
                self._send(order)

    def _send(self, order: Render) -> None:
        """Ship a chunk's packets and ask a worker for it."""
        chunk, worker = order.chunk, order.worker
        begin = shipped_from(order)
        blocks = self._shipper.ship(order.token, begin, chunk.packet_limit)
        shipment = Shipment(
            ticket=self._tickets[worker],
            token=order.token,
            task=chunk_task(
                chunk,
                self._plan,
                packet_start=order.packet_start,
                shipped_from=begin,
                proven=order.proven,
                token=order.token,
                keep=order.keep,
                rows=self._rows,
            ),
            starts=tuple(start for start, _ in blocks),
            refs=tuple(ref for _, ref in blocks),
        )
        self._tickets[worker] += 1
        self._sent[worker] += 1
        self._waiting[self._crew.actors[worker].render.remote(shipment)] = _Attempt(worker, order)
        self._tell(worker, order, "sent")

    def _tell(self, worker: int, order: Render, outcome: str) -> None:
        self._note(
            AttemptNote(
                token=order.token,
                chunk_index=order.chunk.chunk_index,
                worker=worker,
                node=self._crew.node_of(worker),
                outcome=outcome,
            )
        )


def _cause(error: RayTaskError) -> FarmError:
    """Return the farm's own error inside of Ray's, or wrap what it is."""
    cause = error.cause if hasattr(error, "cause") else error
    if isinstance(cause, FarmError):
        return cause
    return ChunkError(f"a worker failed ({type(cause).__name__}: {cause})")
