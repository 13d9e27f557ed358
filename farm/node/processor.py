"""The processor of this machine: its name and the cores that are ours.

Not for: GPUs (`farm.node.gpus`) or what works on a node (`farm.node.examine`).
"""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use: those it is bound to, or its container's share.

    Args:
        quota: Where Linux says how many microseconds of each period a container may compute.
    """
    bound = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # No container, or one without a limit.
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(allowed) / int(period))))
    return cores


def processor_name(info: Path = _INFO) -> str:
    """Return the name of the processor as the system says it, its architecture where it does not.

    Args:
        info: What Linux says of its processors.
    """
    for line in _info_text(info).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_instructions(name: str, info: Path = _INFO) -> bool:
    """Tell whether the processor names a set of instructions (`vnni`) among its flags."""
    return name in _info_text(info)


def _info_text(info: Path) -> str:
    """Return what Linux says of its processors; empty elsewhere."""
    try:
        return info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
