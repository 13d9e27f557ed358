"""Memory over the length of a video, with and without the pipeline's bounds.

Each render has a process of its own, so that no peak is left over from the one before. Not for: the
table (`farm.bench.memory_rows`).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cluster.render import render_video
from farm.bench.long_clip import noisy_clip, repeated
from farm.bench.memory_rows import MemoryRow
from farm.bench.rows import machine_facts
from farm.command import Say
from farm.fault_settings import FaultSettings
from farm.observer import NullObserver
from farm.render import WITHOUT_BOUNDS
from farm.settings import ProcessorSettings, RenderSettings

_RATE = 30
_STEP_S = 10
"""Length of the clip that is repeated."""


class MemoryBench:
    """Videos of several lengths that show the same."""

    def __init__(
        self, folder: Path, *, size: tuple[int, int], workers: int, chunk_seconds: float | None
    ) -> None:
        """Make the clip that longer ones repeat; `size` is width and height."""
        self._folder, self._size, self._workers = folder, size, workers
        self._chunk_seconds = chunk_seconds
        self._clip = noisy_clip(
            folder / "step.mp4", size=size, frames=_STEP_S * _RATE, rate=_RATE, kbits=None
        )

    def run(
        self, lengths_s: Sequence[int], say: Say, *, unbounded: bool
    ) -> tuple[dict[str, Any], list[MemoryRow]]:
        """Render each length; returns the document and its rows.

        Args:
            lengths_s: Rounded up to whole clips.
            say: Told of each row.
            unbounded: Whether each is rendered without bounds, too.
        """
        facts = machine_facts()
        rows = []
        for length_s in lengths_s:
            for bounded in (True, False) if unbounded else (True,):
                rows.append(self._row(length_s, bounded=bounded))
                say(f"{rows[-1].name}: {rows[-1].peak_bytes >> 20} MiB")
        document = {
            "benchmark": "memory",
            "size": f"{self._size[0]}x{self._size[1]}",
            "workers": self._workers,
            "chunk_seconds": self._chunk_seconds,
            "machine": facts,
            "rows": [asdict(row) for row in rows],
        }
        return document, rows

    def _row(self, length_s: int, *, bounded: bool) -> MemoryRow:
        times = -(-length_s // _STEP_S)
        clip = repeated(self._clip, self._folder / f"{times}.mp4", times)
        settings = RenderSettings(
            target=clip,
            output=self._folder / "out.mp4",
            processors=ProcessorSettings(names=("none",)),
            workers=self._workers,
            chunk_seconds=self._chunk_seconds,
            overwrite=True,
            faults=FaultSettings(keep_job=False),
        )
        if not bounded:
            settings = replace(settings, max_memory_bytes=WITHOUT_BOUNDS)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peak_bytes, worker_bytes, fps = pool.submit(_rendered, settings).result()
        clip.unlink()
        seconds = times * _STEP_S
        return MemoryRow(
            name=f"{seconds} s, {'bounded' if bounded else 'without bounds'}",
            seconds=seconds,
            bounded=bounded,
            peak_bytes=peak_bytes,
            worker_bytes=worker_bytes,
            fps=fps,
        )


def _rendered(settings: RenderSettings) -> tuple[int, int, float]:
    """Render; peak of all processes, largest worker, frames per second."""
    report = render_video(settings, NullObserver())
    worker_bytes = max((chunk.peak_memory_bytes for chunk in report.chunk_reports), default=0)
    return report.peak_memory_bytes, worker_bytes, report.fps
