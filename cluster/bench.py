"""`facefarm bench`: measurements of this machine, each as one call.

Not for: the measuring itself (`cluster.bench_pipeline`, `farm.bench`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from farm.bench.sizes import NetworkSize
from farm.command import CommandResult, Say
from farm.errors import InputError, SettingsError
from farm.options import Option
from farm.scratch import scratch_folder


def pipeline(
    *,
    network: Annotated[
        NetworkSize, Option(help="Size of the networks, which are made on the spot.")
    ] = NetworkSize.TINY,
    clip: Annotated[Path | None, Option(unset="a made one", help="Video to render.")] = None,
    frames: Annotated[int, Option(help="Frames of the made clip.", low=2, high=100_000)] = 300,
    rounds: Annotated[int, Option(help="How often all is measured.", low=1, high=100)] = 3,
    video_encoder: Annotated[str, Option(metavar="NAME", help="Encoder.")] = "libx264",
    baseline: Annotated[
        bool, Option(off="no-baseline", help="Measure one thread without a pipeline, too.")
    ] = True,
    say: Say,
) -> CommandResult:
    """Measure the pipeline against decoding, encoding and the networks alone."""
    from cluster.bench_pipeline import PipelineBench
    from farm.bench.rows import table_lines

    with scratch_folder("facefarm-bench-") as folder:
        bench = PipelineBench(
            folder, size=network, clip=clip, frames=frames, video_encoder=video_encoder
        )
        document, rows = bench.run(rounds, baseline=baseline, say=say)
    return CommandResult(document=document, lines=table_lines(rows))


def gpu(
    *,
    network: Annotated[
        NetworkSize, Option(help="Size of the networks, which are made on the spot.")
    ] = NetworkSize.FULL,
    clip: Annotated[Path | None, Option(unset="a made one", help="Video to render.")] = None,
    frames: Annotated[int, Option(help="Frames of the made clip.", low=2, high=100_000)] = 150,
    provider: Annotated[
        tuple[str, ...],
        Option(unset="those of devices that load", metavar="NAME", help="Execution provider."),
    ] = (),
    batch: Annotated[tuple[str, ...], Option(unset="1, 8, 32", help="Size of a batch.")] = (),
    say: Say,
) -> CommandResult:
    """Measure what the networks and the pipeline do on a GPU."""
    from cluster.bench_gpu import GpuBench, device_providers
    from farm.bench.precisions import BATCHES

    sizes = tuple(_whole("--batch", text) for text in batch) or BATCHES
    providers = list(provider) or device_providers()
    with scratch_folder("facefarm-bench-") as folder:
        bench = GpuBench(folder, size=network, frames=frames, clip=clip, batches=sizes)
        document, lines = bench.run(providers, say)
    return CommandResult(document=document, lines=lines)


def scale(
    *,
    workers: Annotated[
        tuple[str, ...], Option(unset="1, 2, 4, 8, 16", metavar="N", help="Number of workers.")
    ] = (),
    frame_ms: Annotated[
        float, Option(help="How long each frame waits, in milliseconds.", low=0.1, high=10_000)
    ] = 40.0,
    chunk_frames: Annotated[int, Option(help="Frames of a chunk.", low=2, high=10_000)] = 100,
    chunks: Annotated[int, Option(help="Chunks for each worker.", low=1, high=1000)] = 8,
    plot: Annotated[Path | None, Option(unset="none", help="SVG of the efficiency.")] = None,
    say: Say,
) -> CommandResult:
    """Measure how well many workers share work that is all waiting, as for a GPU."""
    from cluster.bench_scale import ScaleBench
    from farm.bench.scale import scale_lines, scale_plot

    counts = [_whole("--workers", text) for text in workers or ("1", "2", "4", "8", "16")]
    with scratch_folder("facefarm-bench-") as folder:
        bench = ScaleBench(
            folder,
            most_workers=max(counts),
            chunks=chunks,
            chunk_frames=chunk_frames,
            frame_ms=frame_ms,
        )
        document, rows = bench.run(counts, say)
    if plot is not None:
        _write(plot, scale_plot(rows, frame_ms))
    return CommandResult(document=document, lines=scale_lines(rows))


def memory(
    *,
    seconds: Annotated[
        tuple[str, ...], Option(unset="10, 60, 600", metavar="N", help="Length of a video.")
    ] = (),
    size: Annotated[str, Option(metavar="WxH", help="Width and height.")] = "640x360",
    workers: Annotated[int, Option(help="Number of workers.", low=1, high=256)] = 2,
    chunk_seconds: Annotated[
        float | None, Option(unset="as renders have them", help="Length of a chunk.", low=0.1)
    ] = None,
    unbounded: Annotated[
        bool, Option(off="no-unbounded", help="Measure without the pipeline's bounds, too.")
    ] = True,
    say: Say,
) -> CommandResult:
    """Measure the memory of all processes over the length of a video."""
    from cluster.bench_memory import MemoryBench
    from farm.bench.memory_rows import memory_lines
    from farm.settings import parse_size

    lengths = [_whole("--seconds", text, 100_000) for text in seconds or ("10", "60", "600")]
    with scratch_folder("facefarm-bench-") as folder:
        bench = MemoryBench(
            folder, size=parse_size(size), workers=workers, chunk_seconds=chunk_seconds
        )
        document, rows = bench.run(lengths, say, unbounded=unbounded)
    return CommandResult(document=document, lines=memory_lines(rows))


def _write(path: Path, text: str) -> None:
    """Write a plot.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _whole(option: str, text: str, most: int = 1024) -> int:
    """A whole number above 0, as an option that may be given several times takes it.

    Raises:
        SettingsError: It is none.
    """
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise SettingsError(f"{option} {text}: must be a whole number between 1 and {most}")
    return int(text)


def compare(
    *,
    before: Annotated[Path, Option(positional=True, help="Result of `--json`.")],
    after: Annotated[Path, Option(positional=True, help="Result to compare it with.")],
) -> CommandResult:
    """Compare two results of the same measurement."""
    from farm.bench.rows import compare_lines

    first, second = _read(before), _read(after)
    lines = compare_lines(first, second)
    return CommandResult(document={"before": first, "after": second}, lines=lines)


def _read(path: Path) -> dict[str, Any]:
    """A result that was written with `--json`.

    Raises:
        InputError: The file is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no result of `facefarm bench --json` ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise InputError(f"{path}: is no result of `facefarm bench --json` (it has no rows)")
    return found
