"""How many workers, and what each may use: a pure function of machine and settings.

Not for: the chunk plan, which must not depend on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from farm.models.session import execution_threads

_CORES_PER_WORKER = 8
_MOST_DECODE_THREADS = 16
"""More only add delay: each thread of a decoder holds a frame back."""
_GPU_PROVIDERS = frozenset({"cuda", "tensorrt", "rocm", "migraphx"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """The workers of a job."""

    workers: int
    threads: int
    """Thread budget of one worker's networks."""
    decode_threads: int
    gpus_each: float
    """Share of a GPU that a worker takes."""


def plan_workers(
    provider: str, cores: int, gpus: float, chunks: int, workers: int | None, threads: int | None
) -> WorkerPlan:
    """Plan the workers of one job.

    Args:
        provider: Short name of the execution provider.
        cores: Of all machines that take part.
        gpus: GPUs that Ray knows of.
        chunks: There are never more workers than chunks.
        workers: What the user asked for, None for the default.
        threads: Threads of one worker as the user asked for, None for the rule of the provider.
    """
    on_gpu = provider in _GPU_PROVIDERS and gpus > 0
    usual = int(gpus) if on_gpu else round(cores / _CORES_PER_WORKER)
    count = max(1, min(workers or usual, chunks))
    return WorkerPlan(
        workers=count,
        threads=threads or max(1, execution_threads(provider, cores) // count),
        decode_threads=min(_MOST_DECODE_THREADS, max(1, cores // count)),
        gpus_each=_gpu_share(gpus, count) if on_gpu else 0.0,
    )


def _gpu_share(gpus: float, workers: int) -> float:
    """Return a share of which as many fit on each GPU as there are workers for it.

    Workers do not straddle GPUs: three on two GPUs are two on one of them, half a GPU each.
    """
    if gpus < 1:
        return math.floor(gpus / workers * 10_000) / 10_000
    return math.floor(10_000 / math.ceil(workers / int(gpus))) / 10_000
