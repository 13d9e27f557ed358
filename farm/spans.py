"""When each stage of a chunk was at work and how long it waited: what the timeline is drawn from.

Not for: adding up stages over a job (`cluster.tally`).
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from farm.node.examine import visible
from farm.node.gpus import GpuLoad, NvmlBrokenError, gpu_load, list_gpus

_KIB_IS_UNIT = not sys.platform.startswith("darwin")


@dataclass(slots=True, kw_only=True)
class StageSpan:
    """One stage of one chunk."""

    begin_s: float
    """Seconds since 1970, by the clock of the worker's node."""
    end_s: float
    waited_s: float = 0.0
    """Of the time between, waiting for its input or for room behind it."""


class SpanBook:
    """The stages of one chunk; written by the threads of a pipeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.spans: dict[str, StageSpan] = {}

    def note(self, stage: str, begin_s: float, end_s: float, waited_s: float = 0.0) -> None:
        """Widen a stage to a stretch in which it was at work or waited."""
        with self._lock:
            span = self.spans.setdefault(stage, StageSpan(begin_s=begin_s, end_s=end_s))
            span.begin_s = min(span.begin_s, begin_s)
            span.end_s = max(span.end_s, end_s)
            span.waited_s += waited_s

    def note_wait(self, stage: str, begin_s: float, end_s: float) -> None:
        """Note waiting for input, where the stage has begun: before that it was another chunk's."""
        if stage in self.spans:
            self.note(stage, begin_s, end_s, end_s - begin_s)

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Note the time of the block as work."""
        began = time.time()
        try:
            yield
        finally:
            self.note(stage, began, time.time())

    @contextmanager
    def waiting(self, stage: str) -> Iterator[None]:
        """Note the time of the block as waiting."""
        began = time.time()
        try:
            yield
        finally:
            ended = time.time()
            self.note(stage, began, ended, ended - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """How busy the GPUs were that a worker sees."""

    use: float
    """Share of the time, 0 to 1, of the busiest."""
    memory_bytes: int
    """In use on all of them together, by everybody."""


def device_load() -> DeviceLoad | None:
    """Ask NVIDIA's driver for the GPUs that this process sees; None where it does not say."""
    loads: list[GpuLoad] = []
    with suppress(NvmlBrokenError):
        mine = visible(list_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
        loads = [load for gpu in mine if (load := gpu_load(gpu.uuid)) is not None]
    if not loads:
        return None
    return DeviceLoad(
        use=max(load.utilisation for load in loads),
        memory_bytes=sum(load.used_bytes for load in loads),
    )


class ProcessMeter:
    """Processor time and memory of this process, between one chunk and the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cpu_s = time.process_time()

    def take(self) -> tuple[float, int]:
        """Processor seconds since the last call, and the largest resident size so far in bytes."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with self._lock:
            now = time.process_time()
            used, self._cpu_s = now - self._cpu_s, now
        return used, peak * (1024 if _KIB_IS_UNIT else 1)
