"""The processor of this machine: its name and the cores that are ours.

Not for: GPUs (`farm.node.gpus`) or what works on a node (`farm.node.examine`).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_INFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
