"""`facefarm bench`: measurements of this machine, each as one call.

Not for: the measuring itself (`cluster.bench_pipeline`, `farm.bench`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

from farm.bench.sizes import NetworkSize
from farm.command import CommandResult, Say
from farm.errors import InputError, SettingsError
from farm.options import Option


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

    with tempfile.TemporaryDirectory(prefix="facefarm-bench-") as folder:
        bench = PipelineBench(
            Path(folder), size=network, clip=clip, frames=frames, video_encoder=video_encoder
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
    from cluster.bench_gpu import GpuBench, device_providers, gpu_lines
    from farm.bench.precisions import BATCHES

    sizes = tuple(_batch(text) for text in batch) or BATCHES
    providers = list(provider) or device_providers()
    with tempfile.TemporaryDirectory(prefix="facefarm-bench-") as folder:
        bench = GpuBench(Path(folder), size=network, frames=frames, clip=clip, batches=sizes)
        document, speeds, rows = bench.run(providers, say)
    return CommandResult(document=document, lines=gpu_lines(speeds, rows))


def _batch(text: str) -> int:
    """A size of a batch.

    Raises:
        SettingsError: It is none.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise SettingsError(f"--batch {text}: must be a whole number between 1 and 1024")
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
