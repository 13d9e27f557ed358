"""Made-up nodes for tests of plans.

Not for: real inventories.
"""

from __future__ import annotations

from typing import Any

from farm.node.facts import GpuFacts, NodeFacts, Trial
from scheduler.workers import NodeOffer

GIB = 1 << 30


def gpu(device: int = 0, *, broken: bool = False, free_gib: float = 22.0) -> GpuFacts:
    """An NVIDIA GPU of 24 GiB."""
    return GpuFacts(
        device=device,
        uuid=f"GPU-{device}",
        name="NVIDIA Test",
        memory_bytes=24 * GIB,
        free_bytes=int(free_gib * GIB),
        driver="600.1",
        trials=(Trial(name="cuda", problem="no kernel runs" if broken else ""),),
    )


def node(
    name: str = "one",
    *,
    cores: int = 8,
    gpus: tuple[GpuFacts, ...] = (),
    ray_gpus: float | None = None,
    slots: float | None = None,
    **changes: Any,
) -> NodeOffer:
    """A node; with GPUs it has `cuda` where one of them is sound."""
    sound = any(trial.works for each in gpus for trial in each.trials)
    cuda = Trial(name="cuda", problem="" if sound else "cuda did not load")
    values: dict[str, Any] = {
        "name": name,
        "cores": cores,
        "memory_bytes": 64 * GIB,
        "disk_free_bytes": 100 * GIB,
        "clock_s": 1e9,
        "gpus": gpus,
        "providers": ((cuda,) if gpus else ()) + (Trial(name="cpu"),),
        "encoders": (
            Trial(name="libx264"),
            Trial(name="libx265"),
            Trial(name="h264_nvenc", problem="does not open"),
        ),
    }
    return NodeOffer(
        node_id=f"id-{name}",
        facts=NodeFacts(**(values | changes)),
        slots=cores if slots is None else slots,
        gpus=len(gpus) if ray_gpus is None else ray_gpus,
    )
