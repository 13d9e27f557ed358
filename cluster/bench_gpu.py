"""All that one call can tell of a machine's GPU: networks alone, and the pipeline around them.

Not for: the clip and the pipeline's other rows (`cluster.bench_pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cluster.bench_pipeline import PipelineBench
from farm.bench.device_decode import DecodeSpeed, decode_speeds
from farm.bench.limits import Cost
from farm.bench.precisions import BATCHES, NetworkSpeed, network_speeds
from farm.bench.rows import machine_facts
from farm.bench.sizes import NetworkSize
from farm.chunk_task import ChunkResult
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
    on_device: int = 0
    """Frames that stayed on the device."""
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

    def run(self, providers: Sequence[str], say: Say) -> tuple[dict[str, Any], list[str]]:
        """Measure; returns the document, and its tables in Markdown."""
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
            rows += [self._row(*way, say) for way in self._ways(provider)]
            rows += [self._device_row(provider, stay, say) for stay in (False, True)]
        decoding = decode_speeds(self._bench.clip)
        for each in decoding:
            say(f"{each.name}: {each.problem or f'{each.per_second:.0f} frames a second'}")
        document = {
            "benchmark": "gpu",
            "network": self._size.value,
            "frames": self._bench.frames,
            "providers": list(providers),
            "machine": facts,
            "networks": [asdict(speed) for speed in speeds],
            "decoding": [asdict(each) for each in decoding],
            "rows": [asdict(row) for row in rows],
        }
        return document, gpu_lines(speeds, rows, decoding)

    def _ways(self, provider: str) -> list[tuple[str, Precision, int]]:
        return [(provider, precision, batch) for precision in Precision for batch in self._batches]

    def _row(self, provider: str, precision: Precision, batch: int, say: Say) -> GpuRow:
        """Render the clip in one way."""
        name = f"{provider}, {precision}, batch {batch}"
        work = partial(self._bench.render, provider, batch=batch, precision=precision)
        return self._measured(name, work, say)

    def _device_row(self, provider: str, frames_stay: bool, say: Say) -> GpuRow:
        """Render the clip with NVDEC and NVENC."""
        place = "on the device" if frames_stay else "through memory"
        work = partial(self._bench.render_on_device, provider, frames_stay=frames_stay)
        return self._measured(f"{provider}, NVDEC and NVENC, frames {place}", work, say)

    def _measured(
        self, name: str, work: Callable[[], tuple[Cost, list[ChunkResult]]], say: Say
    ) -> GpuRow:
        say(f"pipeline: {name}")
        try:
            cost, results = work()
        except FarmError as error:
            return GpuRow(name=name, problem=error.message)
        stages = ("decode", "detect", "process", "encode")
        return GpuRow(
            name=name,
            fps=self._bench.frames / cost.wall_s,
            on_device=sum(result.on_device for result in results),
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


def gpu_lines(
    speeds: Sequence[NetworkSpeed], rows: Sequence[GpuRow], decoding: Sequence[DecodeSpeed]
) -> list[str]:
    """All tables, in Markdown."""
    lines = ["| swap network alone | faces a second | |", "|---|---|---|"]
    lines += [f"| {s.name} | {s.per_second:.1f} | {s.problem} |" for s in speeds]
    lines += ["", "| decoding alone | frames a second | |", "|---|---|---|"]
    lines += [f"| {each.name} | {each.per_second:.0f} | {each.problem} |" for each in decoding]
    heads = "pipeline | fps | decode s | detect s | process s | encode s | frames on the device"
    lines += ["", f"| {heads} | |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        stages = " | ".join(
            f"{row.stage_s.get(s, 0.0):.1f}" for s in ("decode", "detect", "process", "encode")
        )
        remark = "; ".join((row.problem, *row.notes)) if row.problem else "; ".join(row.notes)
        lines.append(f"| {row.name} | {row.fps:.2f} | {stages} | {row.on_device} | {remark} |")
    return lines
