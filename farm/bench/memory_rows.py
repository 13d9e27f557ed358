"""What `facefarm bench memory` found, as a table.

Not for: rendering (`cluster.bench_memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRow:
    """One render of a length."""

    name: str
    seconds: float
    """Of video."""
    bounded: bool
    """Whether the pipeline's queues were bounded."""
    peak_bytes: int
    """Proportional set sizes of driver, workers and Ray together, at their highest."""
    worker_bytes: int
    """Largest resident size of a worker."""
    fps: float


def memory_lines(rows: Sequence[MemoryRow]) -> list[str]:
    """The rows as a table in Markdown; each against the shortest of its kind."""
    lines = ["| video s | queues | peak MiB | of the shortest | largest worker MiB | fps |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        alike = [each for each in rows if each.bounded == row.bounded]
        first = min(alike, key=lambda each: each.seconds)
        lines.append(
            f"| {row.seconds:g} | {'bounded' if row.bounded else 'without bounds'} |"
            f" {row.peak_bytes / (1 << 20):.0f} | {row.peak_bytes / first.peak_bytes:.2f} |"
            f" {row.worker_bytes / (1 << 20):.0f} | {row.fps:.0f} |"
        )
    return lines
