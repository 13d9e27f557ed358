"""What a worker's seat means to Ray and to the job that the worker is told of.

Not for: choosing seats (`scheduler.workers`).
"""

from __future__ import annotations

from dataclasses import replace

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.chunk_task import RenderSetup
from scheduler.workers import WorkerSeat


def setup_for(setup: RenderSetup, seat: WorkerSeat) -> RenderSetup:
    """Return the job as the worker in this seat does it: with its provider and threads."""
    return replace(
        setup,
        faces=replace(setup.faces, provider=seat.provider),
        threads=seat.threads,
        decode_threads=min(setup.decode_threads, seat.decode_threads),
    )


def scheduling(seat: WorkerSeat) -> NodeAffinitySchedulingStrategy | str:
    """Return where Ray puts the worker: on its node and nowhere else."""
    if not seat.node_id:
        return "SPREAD"
    return NodeAffinitySchedulingStrategy(seat.node_id, soft=False)
