"""What `facefarm bench scale` found: its clip, rows, table and plot.

Not for: starting workers (`cluster.bench_scale`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from farm.bench.plot import line_plot

WIDTH, HEIGHT, FPS = 64, 48, 25
_LONE_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRow:
    """What a number of workers did."""

    name: str
    workers: int
    chunks: int
    frames: int
    wall_s: float
    """From the moment at which all workers were up to the last chunk accepted."""
    ideal_s: float
    """What the waiting alone takes, shared out equally."""
    driver_cpu_s: float
    """Processor time of the driver meanwhile."""
    memory_bytes: int
    """Proportional set sizes of driver, workers and Ray at the end."""
    up_s: float
    """Until all workers were up."""

    @property
    def efficiency(self) -> float:
        """Share of the workers' time in which they waited for their device, 0 to 1."""
        return self.ideal_s / self.wall_s

    @property
    def overhead_ms(self) -> float:
        """Worker time of a chunk beside the waiting."""
        return 1000 * (self.wall_s - self.ideal_s) * self.workers / self.chunks

    @property
    def fps(self) -> float:
        """Output frames a second of all workers."""
        return self.frames / self.wall_s

    @property
    def driver_ms(self) -> float:
        """Processor time of the driver for a chunk."""
        return 1000 * self.driver_cpu_s / self.chunks


def tiny_clip(path: Path, frames: int, chunk_frames: int) -> Path:
    """Write small pictures, each different, with a keyframe where each chunk begins."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {
            "preset": "ultrafast",
            "x264-params": f"keyint={chunk_frames}:min-keyint={chunk_frames}:scenecut=0",
        }
        for number in range(frames):
            picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            left = number % (WIDTH - _LONE_PX)
            picture[_LONE_PX : 2 * _LONE_PX, left : left + _LONE_PX] = 200
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def scale_lines(rows: Sequence[ScaleRow]) -> list[str]:
    """The rows as a table in Markdown."""
    return [
        "| workers | chunks | frames | wall s | efficiency | overhead of a chunk, worker ms |"
        " driver, CPU ms of a chunk | all up after s | memory MiB |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {r.workers} | {r.chunks} | {r.frames} | {r.wall_s:.2f} | {r.efficiency:.1%} |"
            f" {r.overhead_ms:.0f} | {r.driver_ms:.1f} | {r.up_s:.1f} |"
            f" {r.memory_bytes / (1 << 20):.0f} |"
            for r in rows
        ),
    ]


def scale_plot(rows: Sequence[ScaleRow], frame_ms: float) -> str:
    """Efficiency over the number of workers."""
    return line_plot(
        f"Share of the workers' time that is not overhead ({frame_ms:g} ms a frame)",
        [(f"{row.workers}", "worker" if row.workers == 1 else "workers") for row in rows],
        {"efficiency": [100 * row.efficiency for row in rows]},
        top=100,
        unit=" %",
    )
