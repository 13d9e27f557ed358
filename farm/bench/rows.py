"""What a benchmark found, as rows, as a table and as a comparison of two runs.

Not for: measuring (`farm.bench.limits`, `cluster.bench`).
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.bench.limits import Cost
from farm.environment import installed_versions
from farm.errors import InputError
from farm.node.processor import processor_name, usable_cores

_COMPARED = ("fps", "ratio_to_decode", "ratio_to_decode_encode", "ratio_to_sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a row is compared with, measured next to it."""

    decode: Cost
    decode_encode: Cost
    sessions: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of rendering the clip."""

    name: str
    fps: float
    speed_up: float
    """Against the first row."""
    ratio_to_decode: float
    """Speed as a share of that of decoding alone."""
    ratio_to_decode_encode: float
    ratio_to_sessions: float
    wall_to_work: float
    """Wall clock by (processor time of sessions, decode and encode alone) / cores."""
    cpu_to_work: float
    """Processor time by that of sessions, decode and encode alone."""
    wall_s: float
    cpu_s: float


def make_row(
    name: str,
    frames: int,
    cores: int,
    baseline: Sequence[Cost],
    rounds: Sequence[tuple[Cost, Limits]],
) -> Row:
    """A row of medians over rounds, each ratio taken within its round.

    Args:
        name: Of the row.
        frames: Of the clip.
        cores: That the process may use.
        baseline: What the first row took in each round.
        rounds: What this one took, and the limits of the round.
    """
    wall_s = statistics.median(cost.wall_s for cost, _ in rounds)

    def share(pick: str) -> float:
        limits: list[tuple[float, Cost]] = [(c.wall_s, getattr(each, pick)) for c, each in rounds]
        return statistics.median(limit.wall_s / taken_s for taken_s, limit in limits)

    work = [each.decode_encode.cpu_s + each.sessions.cpu_s for _, each in rounds]
    pairs = list(zip(rounds, work, strict=True))
    speed_up = (b.wall_s / cost.wall_s for b, (cost, _) in zip(baseline, rounds, strict=True))
    return Row(
        name=name,
        fps=frames / wall_s,
        speed_up=statistics.median(speed_up),
        ratio_to_decode=share("decode"),
        ratio_to_decode_encode=share("decode_encode"),
        ratio_to_sessions=share("sessions"),
        wall_to_work=statistics.median(cost.wall_s * cores / w for (cost, _), w in pairs),
        cpu_to_work=statistics.median(cost.cpu_s / w for (cost, _), w in pairs),
        wall_s=wall_s,
        cpu_s=statistics.median(cost.cpu_s for cost, _ in rounds),
    )


def table_lines(rows: Sequence[Row]) -> list[str]:
    """The rows as a table in Markdown."""
    head = "| way | fps | speed-up | of decode | of decode + encode | of sessions |"
    head += " wall to work | CPU to work |"
    return [
        head,
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {r.name} | {r.fps:.2f} | {r.speed_up:.2f} | {r.ratio_to_decode:.3f} | "
            f"{r.ratio_to_decode_encode:.3f} | {r.ratio_to_sessions:.3f} | "
            f"{r.wall_to_work:.2f} | {r.cpu_to_work:.2f} |"
            for r in rows
        ),
    ]


def compare_lines(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """How the rows of two results differ, by name, second against first.

    Raises:
        InputError: They have no row in common.
    """
    before = {row["name"]: row for row in first["rows"]}
    both = [row for row in second["rows"] if row["name"] in before]
    if not both:
        raise InputError("the two results have no row in common: measure the same thing twice")
    lines = [f"| way | {' | '.join(name.replace('_', ' ') for name in _COMPARED)} |"]
    lines.append("|---" * (len(_COMPARED) + 1) + "|")
    for row in both:
        cells = [_change(before[row["name"]].get(name), row.get(name)) for name in _COMPARED]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return lines


def _change(before: float | None, after: float | None) -> str:
    if not before or after is None:
        return ""
    return f"{before:.3g} to {after:.3g} ({(after / before - 1) * 100:+.0f} %)"


def machine_facts() -> dict[str, Any]:
    """What the numbers depend on beside the farm."""
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "system": platform.platform(terse=True),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": installed_versions(),
    }
