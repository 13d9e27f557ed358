#!/usr/bin/env python3
"""Compare the two ways to finish: time, size, quality, jump at chunk borders; print a table.

    .venv/bin/python bench/encode_ways.py CLIP [--encoder libx265] [--quality 23] [--runs 2]

Nothing is done to the pictures, so that all that differs comes from encoding. Not for: testing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from cluster.render import render_video
from farm.media.ffmpeg import find_ffmpeg
from farm.media.index import build_index
from farm.media.plan import plan_frames
from farm.observer import NullObserver
from farm.settings import EncodeOn, EncoderSettings, ProcessorSettings, RenderSettings
from scheduler.chunks import cut_chunks

_SOFTWARE = EncoderSettings(hardware=False)
_INFINITE_DB = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to make the output."""

    name: str
    settings: RenderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How near an output comes to its source."""

    psnr_db: NDArray[np.float64]
    """Of each frame."""
    ssim: float
    vmaf: float | None


def main() -> None:
    """Render in every way and print what came out."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clip", type=Path)
    options.add_argument("--encoder", default="libx264")
    options.add_argument("--quality", type=int, default=23)
    options.add_argument("--chunk-seconds", type=float, default=2.0)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--runs", type=int, default=1, help="the fastest of so many is told")
    asked = options.parse_args()
    _say("| way | s | MB | mean PSNR | worst | SSIM | VMAF | jump at borders | elsewhere |")
    _say("|---|---|---|---|---|---|---|---|---|")
    borders = _borders(asked.clip, asked.chunk_seconds)
    with tempfile.TemporaryDirectory(prefix="facefarm-bench-") as folder:
        for way in _ways(asked, Path(folder)):
            seconds = min(_rendered_s(way.settings) for _ in range(asked.runs))
            _say(_row(way, seconds, asked.clip, borders))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _ways(asked: argparse.Namespace, folder: Path) -> Iterator[Way]:
    """The ways; rates are those that the first one took."""
    base = RenderSettings(
        target=asked.clip,
        output=folder / "worker.mp4",
        processors=ProcessorSettings(names=("none",)),
        video_encoder=asked.encoder,
        video_quality=asked.quality,
        encoding=_SOFTWARE,
        encode_on=EncodeOn.WORKER,
        chunk_seconds=asked.chunk_seconds,
        workers=asked.workers,
        keep_audio=False,
        overwrite=True,
    )
    yield Way(name=f"worker, quality {asked.quality}", settings=base)
    rate = f"{round(base.output.stat().st_size * 8 / _duration_s(asked.clip) / 1000)}k"
    final = replace(base, output=folder / "final.mp4", encode_on=EncodeOn.FINAL)
    yield Way(name=f"final, quality {asked.quality}", settings=final)
    encoding = replace(_SOFTWARE, bitrate=rate)
    yield Way(name=f"final, {rate}", settings=replace(final, encoding=encoding))
    if asked.encoder in ("libx264", "libx265"):
        encoding = replace(encoding, two_pass=True)
        yield Way(name=f"final, {rate}, two passes", settings=replace(final, encoding=encoding))


def _duration_s(clip: Path) -> float:
    times = plan_frames(build_index(clip), None).output.times
    ticks = int(times.pts[-1] - times.pts[0] + times.durations[-1])
    return float(ticks * times.time_base)


def _borders(clip: Path, chunk_seconds: float) -> list[int]:
    """First frame of every chunk but the first."""
    index = build_index(clip)
    chunks = cut_chunks(index, plan_frames(index, None), chunk_seconds)
    return [chunk.frame_start for chunk in chunks[1:]]


def _rendered_s(settings: RenderSettings) -> float:
    began = time.monotonic()
    render_video(settings, NullObserver())
    return time.monotonic() - began


def _row(way: Way, seconds: float, clip: Path, borders: list[int]) -> str:
    """A line of the table."""
    output = way.settings.output
    quality = _quality(clip, output)
    jumps = np.abs(np.diff(quality.psnr_db))
    at_borders = np.zeros(len(jumps), bool)
    at_borders[[border - 1 for border in borders]] = True
    vmaf = "" if quality.vmaf is None else f"{quality.vmaf:.2f}"
    return (
        f"| {way.name} | {seconds:.1f} | {output.stat().st_size / 1e6:.2f} "
        f"| {quality.psnr_db.mean():.2f} dB | {quality.psnr_db.min():.2f} dB "
        f"| {quality.ssim:.4f} | {vmaf} "
        f"| {jumps[at_borders].mean():.2f} dB | {jumps[~at_borders].mean():.2f} dB |"
    )


def _quality(clip: Path, output: Path) -> Quality:
    """Compare frame by frame, by number and not by time."""
    psnr = re.findall(r"psnr_avg:(\S+)", _compared(clip, output, "psnr=stats_file=-"))
    ssim = re.findall(r"All:(\S+)", _compared(clip, output, "ssim=stats_file=-"))
    values = [_INFINITE_DB if each == "inf" else float(each) for each in psnr]
    return Quality(
        psnr_db=np.array(values),
        ssim=float(np.mean([float(each) for each in ssim])),
        vmaf=_vmaf(clip, output),
    )


def _vmaf(clip: Path, output: Path) -> float | None:
    """VMAF by the model that is built into this ffmpeg, None where there is none."""
    with tempfile.NamedTemporaryFile(suffix=".json") as log:
        try:
            _compared(clip, output, f"libvmaf=log_fmt=json:log_path={log.name}")
        except subprocess.CalledProcessError:
            return None
        return float(json.loads(Path(log.name).read_text())["pooled_metrics"]["vmaf"]["mean"])


def _compared(clip: Path, output: Path, metric: str) -> str:
    """What a filter writes about two files."""
    numbered = "settb=1/25,setpts=N"
    graph = f"[0:v]{numbered}[a];[1:v]{numbered}[b];[a][b]{metric}"
    command = [str(find_ffmpeg()), "-v", "error", "-i", str(output), "-i", str(clip)]
    command += ["-filter_complex", graph, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
