"""A simulation of the dispatch core alone: made-up chunks, made-up workers, the time of each event.

The workers differ in speed, some fail, some are lost, so that every path of the core is walked. Not
for: rendering, or the cost of talking to workers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from scheduler.chunks import Chunk
from scheduler.dispatch import Dispatch
from scheduler.instructions import Drop, Fail, Instruction, Render, StartWorker, StopWorker

_FRAMES = 240
_GOP_FRAMES = 240
_FRAME_S = 0.01
_FAIL_SHARE = 0.001
_LOSS_SHARE = 0.0001
_CLOCK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a simulated job took."""

    workers: int
    chunks: int
    events: int
    event_us: NDArray[np.float64]
    """[events] microseconds of processor time that the core took for each, in order."""
    makespan_s: float
    """Made-up seconds from the first worker up to the last chunk done."""
    ideal_s: float
    """The same, if all workers had been busy all the time."""
    attempts: int
    """Orders in all; more than chunks by failures, losses and second copies."""

    @property
    def efficiency(self) -> float:
        """Share of the workers' time in which they rendered what was needed."""
        return self.ideal_s / self.makespan_s


class _Simulated:
    """The state of one simulation."""

    def __init__(self, workers: int, chunks: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = workers
        keyframes = range(0, chunks * _FRAMES, _GOP_FRAMES)
        self.dispatch = Dispatch(_made_up(chunks), list(keyframes), workers=workers)
        self.due: list[tuple[float, int, int, int]] = []
        """Heap of (when, kind, worker, token): answers of workers."""
        self.busy_until: dict[int, float] = {}
        self.frame_s: dict[int, float] = {}
        self.took_us: list[float] = []
        self.attempts = 0
        self.work_s = 0.0
        self.next_worker = 0

    def up(self, now: float) -> None:
        """One more worker answers."""
        worker = self.next_worker
        self.next_worker += 1
        self.frame_s[worker] = _FRAME_S * self.random.uniform(0.7, 1.5)
        self.busy_until[worker] = now
        self.take(now, self.timed(self.dispatch.worker_up, worker))

    def timed(self, event: object, *arguments: object) -> list[Instruction]:
        """Tell the core something and note the processor time that it takes."""
        began = time.thread_time_ns()
        out: list[Instruction] = event(*arguments)  # type: ignore[operator]
        self.took_us.append((time.thread_time_ns() - began) / 1000)
        return out

    def take(self, now: float, instructions: Sequence[Instruction]) -> None:
        """Do as the core says."""
        for each in instructions:
            match each:
                case Render(worker=worker, token=token):
                    self.render(now, worker, token)
                case StartWorker():
                    self.up(now)
                case Fail(message):
                    raise RuntimeError(message)
                case StopWorker() | Drop():
                    pass

    def render(self, now: float, worker: int, token: int) -> None:
        """A worker gets an order, which it carries out behind what it has in hand."""
        self.attempts += 1
        spread = self.random.uniform(0.8, 1.2)
        begin = max(now, self.busy_until[worker])
        end = begin + _FRAMES * self.frame_s[worker] * spread
        self.busy_until[worker] = end
        fate = self.random.random()
        kind = 2 if fate < _LOSS_SHARE else 1 if fate < _LOSS_SHARE + _FAIL_SHARE else 0
        heappush(self.due, (end, kind, worker, token))

    def run(self) -> float:
        """Let the job be done; the made-up second at which it is."""
        for _ in range(self.count):
            self.up(0.0)
        now, tick = 0.0, 0.0
        while not self.dispatch.finished:
            now, kind, worker, token = heappop(self.due)
            while tick + _CLOCK_S <= now:
                tick += _CLOCK_S
                self.take(tick, self.timed(self.dispatch.clock, tick))
            self.take(now, self.dispatch.clock(now))
            if kind == 0:
                self.take(now, self.timed(self.dispatch.chunk_done, token))
            elif kind == 1:
                self.take(now, self.timed(self.dispatch.chunk_failed, token, "made up"))
            elif self.dispatch.holds(token):
                self.take(now, self.timed(self.dispatch.worker_lost, worker))
        return now


def simulate(workers: int, chunks: int, *, seed: int = 1) -> Simulation:
    """Simulate a job.

    Args:
        workers: All are up at once.
        chunks: Each of 240 frames, 2.4 seconds of work on average.
        seed: The same one gives the same story.
    """
    state = _Simulated(workers, chunks, seed)
    makespan_s = state.run()
    rate = sum(1 / state.frame_s[worker] for worker in range(workers))
    return Simulation(
        workers=workers,
        chunks=chunks,
        events=len(state.took_us),
        event_us=np.array(state.took_us),
        makespan_s=makespan_s,
        ideal_s=chunks * _FRAMES / rate,
        attempts=state.attempts,
    )


def _made_up(chunks: int) -> list[Chunk]:
    """Chunks of one group of pictures each."""
    return [
        Chunk(
            chunk_index=i,
            frame_start=_FRAMES * i,
            frame_stop=_FRAMES * (i + 1),
            decode_start=_FRAMES * i,
            decode_stop=_FRAMES * (i + 1),
            owned_start=_FRAMES * i,
            owned_stop=_FRAMES * (i + 1),
            held_from=_FRAMES * (i + 1),
            packet_start=_GOP_FRAMES * i,
            packet_stop=_FRAMES * (i + 1),
            packet_limit=_FRAMES * (i + 1),
            lane=i,
        )
        for i in range(chunks)
    ]
