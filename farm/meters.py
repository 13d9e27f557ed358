"""What a worker takes of its machine: processor time, memory, and the load of its GPUs.

Not for: when stages were at work (`farm.spans`).
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from farm.node.examine import visible
from farm.node.gpus import GpuLoad, NvmlBrokenError, gpu_load, list_gpus

_KIB_IS_UNIT = not sys.platform.startswith("darwin")


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


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1024 if _KIB_IS_UNIT else 1)


class ProcessMeter:
    """Processor time and memory of this process, between one chunk and the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cpu_s = time.process_time()

    def take(self) -> tuple[float, int]:
        """Processor seconds since the last call, and the largest resident size so far in bytes."""
        with self._lock:
            now = time.process_time()
            used, self._cpu_s = now - self._cpu_s, now
        return used, peak_memory_bytes()
