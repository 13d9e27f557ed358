"""What workers tell Prometheus through Ray: counters by its naming conventions.

Ray's own agents collect them from every node; `cluster/deploy/grafana.json` draws them. Not for:
the report of a job, which has its own numbers (`cluster.tally`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from farm.chunk_task import ChunkResult

_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
COUNTERS = {
    "facefarm_frames_total": ("Output frames that were rendered.", ("provider",)),
    "facefarm_faces_total": ("Faces that were found.", ("provider",)),
    "facefarm_chunks_total": ("Chunks that were rendered.", ("provider",)),
    "facefarm_chunk_bytes_total": ("Bytes of finished chunks.", ("provider",)),
    "facefarm_cpu_seconds_total": ("Processor time of workers.", ("provider",)),
    "facefarm_stage_busy_seconds_total": ("Time in which a stage was at work.", ("stage",)),
    "facefarm_stage_wait_seconds_total": ("Time in which a stage waited.", ("stage",)),
}
GAUGES = {
    "facefarm_worker_peak_memory_bytes": "Largest resident size of a worker so far.",
    "facefarm_gpu_use_ratio": "Share of the time in which a worker's GPU was busy.",
    "facefarm_gpu_memory_bytes": "Memory in use on a worker's GPUs.",
}
CHUNK_SECONDS = "facefarm_chunk_seconds"


ATTEMPTS = "facefarm_attempts_total"


class AttemptMetrics:
    """How attempts at chunks end, counted by the driver."""

    def __init__(self, make: Callable[..., Any] | None = None) -> None:
        """Make the counter; `make` is its class, None takes Ray's."""
        self._counter = (make or Counter)(
            ATTEMPTS, description="Attempts at chunks that ended.", tag_keys=("outcome",)
        )

    def note(self, outcome: str) -> None:
        """Count an attempt that has ended (`done`, `lost`, `failed`, ...)."""
        if outcome != "sent":
            self._counter.inc(1, tags={"outcome": outcome})


class WorkerMetrics:
    """The metrics of one worker; made in its process."""

    def __init__(self, provider: str, make: Mapping[str, Any] | None = None) -> None:
        """Make the metrics.

        Args:
            provider: Short name of the worker's execution provider.
            make: The classes `counter`, `gauge` and `histogram`; None takes Ray's.
        """
        kinds = make or {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
        self._tags = {"provider": provider}
        self._counters = {
            name: kinds["counter"](name, description=text, tag_keys=keys)
            for name, (text, keys) in COUNTERS.items()
        }
        self._gauges = {
            name: kinds["gauge"](name, description=text, tag_keys=("provider",))
            for name, text in GAUGES.items()
        }
        self._seconds = kinds["histogram"](
            CHUNK_SECONDS,
            description="How long a chunk is in a worker.",
            boundaries=list(_SECONDS),
            tag_keys=("provider",),
        )

    def chunk_done(self, result: ChunkResult) -> None:
        """Count a finished chunk."""
        for name, value in (
            ("frames", result.frames),
            ("faces", result.faces),
            ("chunks", 1),
            ("chunk_bytes", result.bytes),
            ("cpu_seconds", result.cpu_s),
        ):
            if value > 0:
                self._counters[f"facefarm_{name}_total"].inc(value, tags=self._tags)
        for stage, span in result.spans.items():
            busy_s = span.end_s - span.begin_s - span.waited_s
            for kind, seconds in (("busy", busy_s), ("wait", span.waited_s)):
                if seconds > 0:
                    counter = self._counters[f"facefarm_stage_{kind}_seconds_total"]
                    counter.inc(seconds, tags={"stage": stage})
        if result.spans:
            begin_s = min(span.begin_s for span in result.spans.values())
            end_s = max(span.end_s for span in result.spans.values())
            self._seconds.observe(end_s - begin_s, tags=self._tags)
        self._gauges["facefarm_worker_peak_memory_bytes"].set(
            result.peak_memory_bytes, tags=self._tags
        )
        if result.load is not None:
            self._gauges["facefarm_gpu_use_ratio"].set(result.load.use, tags=self._tags)
            self._gauges["facefarm_gpu_memory_bytes"].set(result.load.memory_bytes, tags=self._tags)
