"""All that one call can tell of a machine's GPU: networks alone, and the pipeline around them.

Not for: the clip and the pipeline's other rows (`cluster.bench_pipeline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.bench_pipeline import PipelineBench
from farm.bench.precisions import BATCHES, NetworkSpeed, network_speeds
from farm.bench.rows import machine_facts
from farm.bench.sizes import NetworkSize
from farm.command import Say
from farm.errors import FarmError, ProviderError
from farm.models.session import available_providers, choose_provider, execution_threads
from farm.node.gpus import list_gpus
from farm.node.processor import usable_cores
from farm.precision import Precision

_DEVICES = ("tensorrt", "cuda", "migraphx", "rocm", "directml")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """The pipeline in one way."""

    name: str
    fps: float = 0.0
    stage_s: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage, which run at the same time."""
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no number."""


class GpuBench:
    """Measures providers, precisions and batches."""

    def __init__(
        self,
        folder: Path,
        *,
        size: NetworkSize,
        frames: int,
        clip: Path | None = None,
        batches: tuple[int, ...] = BATCHES,
    ) -> None:
        """Make clip and networks in `folder`."""
        self._bench = PipelineBench(
            folder, size=size, clip=clip, frames=frames, video_encoder="libx264"
        )
        self._size = size
        self._batches = batches

    def run(
        self, providers: Sequence[str], say: Say
    ) -> tuple[dict[str, Any], list[NetworkSpeed], list[GpuRow]]:
        """Measure; returns the document, the networks alone, and the pipelines."""
        facts = machine_facts() | {"gpus": [asdict(gpu) for gpu in list_gpus()]}
        speeds: list[NetworkSpeed] = []
        rows: list[GpuRow] = []
        for provider in providers:
            threads = execution_threads(provider, usable_cores())
            for speed in network_speeds(
                self._bench.networks.swapper, provider, threads, self._batches
            ):
                say(f"{speed.name}: {speed.problem or f'{speed.per_second:.1f} faces a second'}")
                speeds.append(speed)
            rows += [row for way in self._ways(provider) if (row := self._row(*way, say))]
        document = {
            "benchmark": "gpu",
            "network": self._size.value,
            "frames": self._bench.frames,
            "providers": list(providers),
            "machine": facts,
            "networks": [asdict(speed) for speed in speeds],
            "rows": [asdict(row) for row in rows],
        }
        return document, speeds, rows

    def _ways(self, provider: str) -> list[tuple[str, Precision, int]]:
        return [(provider, precision, batch) for precision in Precision for batch in self._batches]

    def _row(self, provider: str, precision: Precision, batch: int, say: Say) -> GpuRow:
        """Render the clip in one way."""
        name = f"{provider}, {precision}, batch {batch}"
        say(f"pipeline: {name}")
        try:
            cost, results = self._bench.render(provider, batch=batch, precision=precision)
        except FarmError as error:
            return GpuRow(name=name, problem=error.message)
        stages = ("decode", "detect", "process", "encode")
        return GpuRow(
            name=name,
            fps=self._bench.frames / cost.wall_s,
            stage_s={s: sum(getattr(r, f"{s}_s") for r in results) for s in stages},
            notes=tuple(dict.fromkeys(note for r in results for note in r.notes)),
        )


def device_providers() -> list[str]:
    """The providers of devices that load here, best first.

    Raises:
        ProviderError: None does; the message says why.
    """
    found, reasons = [], []
    for provider in (each for each in available_providers() if each in _DEVICES):
        try:
            found.append(choose_provider(provider))
        except ProviderError as error:
            reasons.append(error.message)
    if not found:
        why = "; ".join(reasons) or "the installed onnxruntime was built for the CPU alone"
        raise ProviderError(f"no GPU to measure: {why}; --provider cpu measures the CPU instead")
    return found


def gpu_lines(speeds: Sequence[NetworkSpeed], rows: Sequence[GpuRow]) -> list[str]:
    """Both tables, in Markdown."""
    lines = ["| swap network alone | faces a second | |", "|---|---|---|"]
    lines += [f"| {s.name} | {s.per_second:.1f} | {s.problem} |" for s in speeds]
    lines += ["", "| pipeline | fps | decode s | detect s | process s | encode s | |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        stages = " | ".join(
            f"{row.stage_s.get(s, 0.0):.1f}" for s in ("decode", "detect", "process", "encode")
        )
        remark = "; ".join((row.problem, *row.notes)) if row.problem else "; ".join(row.notes)
        lines.append(f"| {row.name} | {row.fps:.2f} | {stages} | {remark} |")
    return lines
