"""`facefarm tune`: options in, the fastest way out.

Not for: the trials (`cluster.tune`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cluster.tune import tune as measure
from farm.command import CommandResult, Say
from farm.options import Option, OptionsOf, collect
from farm.settings import RenderSettings
from farm.stop import StopRequest

_WITHOUT = ("target", "output", "overwrite", "workers", "execution_threads", "address", "job_dir")


def tune(
    *,
    clip: Annotated[Path, Option(positional=True, help="Video like those that will be rendered.")],
    frames: Annotated[int, Option(short="n", help="How many frames a trial renders.", low=8)] = 96,
    rounds: Annotated[int, Option(help="How often each way is tried.", low=1)] = 3,
    values: Annotated[dict[str, Any], OptionsOf(record=RenderSettings, without=_WITHOUT)],
    say: Say,
    stop: StopRequest,
) -> CommandResult:
    """Find workers, threads, provider and precision for this machine, and keep them."""
    suffix = ".webm" if values.get("video_encoder") == "libvpx-vp9" else ".mkv"
    asked = {**values, "target": clip, "output": f"{clip.stem}{suffix}"}
    settings: RenderSettings = collect(RenderSettings, asked)
    return measure(frames=frames, rounds=rounds, settings=settings, say=say, stop=stop)
