"""The pool: the workers of one job, which render the chunks of a dispatch core.

Not for: what happens meanwhile (`actors.run`) or decisions (`scheduler.dispatch`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from actors.crew import WorkerCrew
from actors.node_watch import AskNewcomer, NodeWatch
from actors.nodes import NodeNews, has_room, read_nodes
from actors.run import PoolRun
from actors.shipping import PacketShipper
from actors.worker import WorkerFacts
from farm.chunk_task import ChunkResult, RenderSetup
from farm.faces.casting import CastRows
from farm.media.plan import FramePlan
from scheduler.dispatch import Dispatch
from scheduler.ledger_records import AttemptNote
from scheduler.workers import WorkerPlan, WorkerSeat

log = logging.getLogger(__name__)


class WorkerPool:
    """The workers of one job. Use as a context manager: leaving it ends them."""

    def __init__(
        self,
        setup: RenderSetup,
        plan: WorkerPlan,
        rows: CastRows | None = None,
        keeper: Any = None,
        *,
        nodes: Callable[[], NodeNews] = read_nodes,
        room: Callable[[float], bool] = has_room,
        ask: AskNewcomer | None = None,
        known: Collection[str] = (),
        say: Callable[[str], None] = log.info,
    ) -> None:
        """Take the workers' plan; entering starts them.

        Args:
            setup: The job.
            plan: The workers' seats.
            rows: The face table, of which each chunk is given its rows; None without one.
            keeper: Takes files of workers that do not see the job's folder; None where all do.
            nodes: Says which nodes live and which are to be left.
            room: Says whether a worker with that share of a GPU finds room anywhere.
            ask: Asks a node that was not there before which workers it is to have; None to
                leave such nodes alone.
            known: Ids of the nodes that the workers were planned from; empty for those that live
                when rendering begins.
            say: Told of nodes that have joined.
        """
        self._plan = plan
        self._watch = NodeWatch(nodes, ask, known)
        self._room, self._say = room, say
        self._crew = WorkerCrew(setup, keeper)
        self._rows = rows

    def __enter__(self) -> WorkerPool:
        for seat in self._plan.seats:
            self._crew.start(seat)
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.stop_all()

    @property
    def seats(self) -> Sequence[WorkerSeat]:
        """The seats that were planned."""
        return self._plan.seats

    def all_up(self, limit_s: float) -> bool:
        """Wait until every worker that was started has answered; tell whether all did in time."""
        return self._crew.all_up(limit_s)

    @property
    def facts(self) -> dict[int, WorkerFacts]:
        """What each worker is, of all that ever came up."""
        return self._crew.facts

    def memory_bytes(self) -> dict[int, int]:
        """Return the proportional set size of each worker that answers, by its number."""
        return self._crew.memory_bytes()

    def run(
        self,
        dispatch: Dispatch,
        plan: FramePlan,
        shipper: PacketShipper,
        done: Callable[[int, ChunkResult], None],
        stop: Callable[[], bool] = lambda: False,
        note: Callable[[AttemptNote], None] = lambda _: None,
    ) -> None:
        """Render the chunks of `dispatch`: all of them, or those in hand when `stop` says so.

        Args:
            dispatch: What is to be done; afterwards it knows whether all of it was.
            plan: The frames.
            shipper: Puts packets into the store.
            done: Called with worker and result of each chunk, once.
            stop: Asked about once a second whether no further chunk should be begun.
            note: Told what happens to each attempt.

        Raises:
            FarmError: The job cannot be finished; the first cause.
        """
        run = PoolRun(self._crew, dispatch, plan, shipper, done, note, self._rows)
        run.watch_nodes(self._watch, self._room, self._say)
        run.until_done(stop)
