from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from actors.metrics import (
    ATTEMPTS,
    CHUNK_SECONDS,
    COUNTERS,
    GAUGES,
    AttemptMetrics,
    WorkerMetrics,
)
from farm.chunk_task import ChunkResult
from farm.meters import DeviceLoad
from farm.spans import StageSpan

DASHBOARD = Path(__file__).resolve().parents[2] / "cluster" / "deploy" / "grafana.json"


class Fake:
    """Stands in for Ray's metrics."""

    values: ClassVar[dict[tuple[str, str], float]] = {}

    def __init__(self, name: str, **_: Any) -> None:
        self.name = name

    def inc(self, value: float, tags: dict[str, str]) -> None:
        key = (self.name, *tags.values())
        self.values[key] = self.values.get(key, 0.0) + value  # type: ignore[index,arg-type]

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[self.name, *tags.values()] = value  # type: ignore[index]

    observe = set


def test_a_finished_chunk_is_counted_by_stage() -> None:
    Fake.values = {}
    metrics = WorkerMetrics("cuda", {"counter": Fake, "gauge": Fake, "histogram": Fake})
    result = ChunkResult(
        chunk_index=0,
        frames=30,
        faces=12,
        cpu_s=2.5,
        bytes=1000,
        peak_memory_bytes=5,
        spans={
            "decode": StageSpan(begin_s=10, end_s=14, waited_s=1),
            "encode": StageSpan(begin_s=11, end_s=15),
        },
        load=DeviceLoad(use=0.9, memory_bytes=7),
    )
    metrics.chunk_done(result)
    metrics.chunk_done(result)
    values: dict[Any, float] = dict(Fake.values)
    assert values["facefarm_frames_total", "cuda"] == 60
    assert values["facefarm_stage_busy_seconds_total", "decode"] == 6
    assert values["facefarm_stage_wait_seconds_total", "decode"] == 2
    assert values["facefarm_stage_busy_seconds_total", "encode"] == 8
    assert values["facefarm_gpu_use_ratio", "cuda"] == 0.9
    assert values[CHUNK_SECONDS, "cuda"] == 5


def test_ends_of_attempts_are_counted_by_outcome() -> None:
    Fake.values = {}
    metrics = AttemptMetrics(Fake)
    for outcome in ("sent", "done", "sent", "lost", "sent", "done"):
        metrics.note(outcome)
    values: dict[Any, float] = dict(Fake.values)
    assert values == {(ATTEMPTS, "done"): 2, (ATTEMPTS, "lost"): 1}


def test_names_follow_the_conventions_of_prometheus() -> None:
    assert all(re.fullmatch(r"facefarm_[a-z_]+_total", name) for name in COUNTERS)
    assert all(name.endswith(("_bytes", "_ratio")) for name in GAUGES)


def test_the_dashboard_draws_every_metric_and_no_other() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])
    drawn = set(re.findall(r"ray_(facefarm_\w+)", expressions))
    assert drawn == {*COUNTERS, *GAUGES, ATTEMPTS, f"{CHUNK_SECONDS}_bucket"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
