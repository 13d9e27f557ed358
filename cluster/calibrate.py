"""A short trial of the job itself: how fast a worker is on each kind of node, and what it takes.

Not for: what is planned with it (`scheduler.workers`) or said of it (`cluster.forecast`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.gpu_watch import GpuUse, GpuWatch
from actors.shipping import PacketShipper
from cluster.crew import crew
from cluster.orders import render_setup
from cluster.plan import JobPlan
from cluster.runtime import RayRuntime
from farm.chunk_task import ChunkResult
from farm.errors import FarmError
from farm.job_folder import JobFolder
from farm.media.packets import PacketReader
from farm.media.retime import stretch
from farm.scratch import scratch_folder
from farm.settings import RenderSettings
from scheduler.chunks import cut_chunks
from scheduler.dispatch import Dispatch
from scheduler.workers import NodeOffer, WorkerCost, WorkerPlan, WorkerSeat, hardware, plan_workers

log = logging.getLogger(__name__)

FRAMES = 48
_PLACE = 1 / 3
"""Where in the video the trial is: openings often show nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one worker did in the trial."""

    frames: int
    fps: float
    """By the slowest part of its pipeline, models loaded."""
    chunk_bytes_per_frame: float
    cost: WorkerCost


def calibrate(
    runtime: RayRuntime, settings: RenderSettings, plan: JobPlan, say: Callable[[str], None]
) -> dict[str, Measure]:
    """Try one worker on one node of each kind.

    Args:
        runtime: Ray, entered.
        settings: What was asked for.
        plan: The job.
        say: Told what is going on.

    Returns:
        By node, for each that has a seat.

    Raises:
        FarmError: The job cannot be done on such a node.
    """
    kinds: dict[tuple[object, ...], Measure] = {}
    found = {}
    offers = {offer.node_id: offer for offer in plan.inventory.offers}
    for seat in plan.workers.seats:
        kind = (seat.provider, seat.threads, *hardware(offers[seat.node_id]))
        if kind not in kinds:
            say(f"trying {FRAMES} frames on node {seat.node}")
            kinds[kind] = _measure(runtime, settings, plan, offers[seat.node_id], seat)
        found[seat.node_id] = kinds[kind]
    return found


def with_shared_gpus(
    runtime: RayRuntime, settings: RenderSettings, plan: JobPlan, say: Callable[[str], None]
) -> JobPlan:
    """Return the plan with as many workers on each GPU as a trial shows that it bears.

    Where the user has said how many workers there are, or nothing is left to share, it stays.
    """
    shares = any(seat.gpu_share for seat in plan.workers.seats)
    if settings.workers or not shares or len(plan.chunks) <= plan.workers.workers:
        return plan
    try:
        measures = calibrate(runtime, settings, plan, say)
    except FarmError as error:
        log.warning("GPUs are not shared, as the trial failed: %s", error.message)
        return plan
    wish = replace(plan.wish, costs={node: each.cost for node, each in measures.items()})
    return replace(plan, wish=wish, workers=plan_workers(plan.inventory.offers, wish))


def _measure(
    runtime: RayRuntime,
    settings: RenderSettings,
    plan: JobPlan,
    offer: NodeOffer,
    seat: WorkerSeat,
) -> Measure:
    """Render a few frames with one worker in this seat, into a folder that is thrown away."""
    times = plan.frames.output.times
    start_s = float(times.seconds(int(len(times) * _PLACE)))
    frames = stretch(plan.frames, start_s, FRAMES)
    chunks = cut_chunks(plan.index, frames, None)
    # The whole GPU: what is measured is one worker alone.
    alone = replace(seat, gpu_share=min(1.0, offer.gpus) if seat.gpu_share else 0.0)
    trial = replace(plan, workers=WorkerPlan(seats=(alone,)))
    dispatch = Dispatch(chunks, np.flatnonzero(plan.index.keyframes).tolist(), workers=1)
    results: list[ChunkResult] = []
    with scratch_folder("facefarm-trial-") as scratch, _watched(offer, alone) as use:
        folder = JobFolder(scratch, plan.fingerprint, plan.request)
        setup = render_setup(replace(settings, keep_frames=False), trial, folder)
        hired = crew(runtime, trial, setup, None, None, log.info, log.debug)
        with PacketReader(plan.index) as reader, hired as pool:
            shipper = PacketShipper(reader, ray.put, 0)
            pool.run(dispatch, frames, shipper, lambda _worker, each: results.append(each))
            memory_bytes = max(pool.memory_bytes().values(), default=0)
    return _summed(results, memory_bytes, use)


def _summed(results: list[ChunkResult], memory_bytes: int, use: list[GpuUse]) -> Measure:
    """Add up what the chunks of a trial took; the slowest thread of a worker sets its pace."""
    frames = sum(each.frames for each in results)
    slowest_s = max(
        sum(each.decode_s for each in results),
        sum(each.detect_s + each.process_s for each in results),
        sum(each.encode_s for each in results),
    )
    gpu = use[0] if use else GpuUse(memory_bytes=0, utilisation=1.0)
    return Measure(
        frames=frames,
        fps=frames / max(slowest_s, 1e-6),
        chunk_bytes_per_frame=sum(each.bytes for each in results) / max(1, frames),
        cost=WorkerCost(
            memory_bytes=memory_bytes,
            gpu_memory_bytes=gpu.memory_bytes,
            gpu_utilisation=gpu.utilisation,
        ),
    )


@contextmanager
def _watched(offer: NodeOffer, seat: WorkerSeat) -> Iterator[list[GpuUse]]:
    """Watch the GPUs of a node; what was seen is in the list afterwards."""
    seen: list[GpuUse] = []
    uuids = [gpu.uuid for gpu in offer.facts.sound_gpus(seat.provider)]
    if not (uuids and seat.gpu_share):
        yield seen
        return
    remote: Any = ray.remote(GpuWatch)
    there = NodeAffinitySchedulingStrategy(offer.node_id, soft=False)
    watch = remote.options(num_cpus=0, max_concurrency=2, scheduling_strategy=there).remote(uuids)
    try:
        ray.get(watch.begin.remote())
        yield seen
        seen.append(ray.get(watch.end.remote()))
    finally:
        ray.kill(watch)
