"""The nodes of a job while it runs: which live, which are to be left, which have joined.

Nodes that join are asked what they have on threads, since that takes seconds.
Not for: what becomes of their workers (`actors.run`) or what a node has (`cluster.newcomers`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial

from actors.nodes import NodeNews
from farm.background import in_background
from farm.errors import FarmError, JobError
from scheduler.workers import WorkerSeat

_LOOK_S = 2.0
_SILENCE_S = 20.0
"""A head that was restarted goes on by then; after a minute Ray ends this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What is known of a node that has joined."""

    seats: tuple[WorkerSeat, ...] = ()
    """The workers that it is to have."""
    said: str
    """What is to be said of it: its workers, or why it gets none."""


AskNewcomer = Callable[[str, int], Newcomer]
"""Asks the node with this id, when the job has so many workers; on a thread."""


class NodeWatch:
    """Looks at the nodes every few seconds."""

    def __init__(
        self,
        read: Callable[[], NodeNews],
        ask: AskNewcomer | None,
        known: Collection[str],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how to learn of nodes.

        Args:
            read: Says which nodes live and which are to be left.
            ask: Asks a node that has joined; None where none is to be used.
            known: Ids of the nodes that the workers were planned from; empty for those that live
                when this looks first.
            now: Seconds from anywhere.
        """
        self._read, self._ask, self._now = read, ask, now
        self._known = frozenset(known)
        self._asked: dict[str, Future[Newcomer]] = {}
        self._look_again_s = -math.inf
        self._silent_s: float | None = None
        """Since when the head does not answer."""
        self.living: frozenset[str] = frozenset()
        """Ids of the nodes that live and are to stay."""

    @property
    def is_asking(self) -> bool:
        """Whether a node that has joined has not answered yet."""
        return bool(self._asked)

    def look(self) -> NodeNews | None:
        """Return news of the nodes, None where there is none or it is too early to ask again.

        Raises:
            JobError: The head of the cluster is gone.
        """
        now = self._now()
        if now < self._look_again_s:
            return None
        self._look_again_s = now + _LOOK_S
        news = self._read()
        if not news.head_answers:
            self._silent_s = now if self._silent_s is None else self._silent_s
            if now - self._silent_s >= _SILENCE_S:
                raise JobError(
                    f"the head of the cluster has not answered for {now - self._silent_s:.0f} s; "
                    "finished chunks are kept: run the command again when there is a cluster"
                )
            return None
        self._silent_s = None
        self.living = news.living - news.draining
        return news

    def ask_newcomers(self, workers: int) -> int:
        """Ask nodes that have joined; how many were asked, when the job has so many workers."""
        new = self.living - self._known if self._known else frozenset()
        self._known |= self.living
        if self._ask is None:
            return 0
        for node in new:
            self._asked[node] = in_background(partial(self._ask, node, workers), "newcomer")
        return len(new)

    def wait(self, seconds: float) -> None:
        """Wait until one of those that were asked has answered, or so long."""
        wait(self._asked.values(), timeout=seconds, return_when=FIRST_COMPLETED)

    def answers(self) -> list[Newcomer]:
        """Return what nodes have answered since the last call."""
        done = [node for node, future in self._asked.items() if future.done()]
        return [self._answer(node, self._asked.pop(node)) for node in done]

    def _answer(self, node: str, future: Future[Newcomer]) -> Newcomer:
        try:
            return future.result()
        except FarmError as error:
            return Newcomer(said=f"node {node[:8]} joined and is not used: {error.message}")

    def gone(self, node: str) -> None:
        """Note that a node does not live, whatever Ray said last."""
        self.living -= {node}
