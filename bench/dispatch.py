"""Time of each event of the dispatch core alone, for growing numbers of workers, as a plot.

    python bench/dispatch.py [--most-workers 10000] [--plot docs/images/dispatch.svg]

Needs no Ray. The chunks are a hundred for each worker. Not for: the cost of talking to workers
(`facefarm bench scale`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scheduler.simulate import Simulation, simulate

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 360, 70, 50
_COLOURS = {"median": "#2563eb", "mean": "#059669", "99th percentile": "#d97706"}


def main() -> None:
    """Simulate, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most-workers", type=int, default=10_000)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    found = []
    workers = 10
    while workers <= given.most_workers:
        found.append(simulate(workers, 100 * workers))
        sys.stdout.write(f"{_row(found[-1])}\n")
        workers *= 10
    if given.plot:
        given.plot.write_text(_plot(found), encoding="utf-8")


def _row(done: Simulation) -> str:
    """One line of the table."""
    us = done.event_us
    return (
        f"| {done.workers} | {done.chunks} | {done.events} | {np.median(us):.0f} | "
        f"{us.mean():.0f} | "
        f"{np.percentile(us, 99):.0f} | {done.efficiency:.1%} |"
    )


def _plot(found: list[Simulation]) -> str:
    """Microseconds of an event over the number of workers, the latter on a logarithmic axis."""
    series = {
        "median": [float(np.median(each.event_us)) for each in found],
        "mean": [float(each.event_us.mean()) for each in found],
        "99th percentile": [float(np.percentile(each.event_us, 99)) for each in found],
    }
    top = max(max(values) for values in series.values()) * 1.1
    steps = np.linspace(_LEFT, _WIDTH - 30, len(found))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">Dispatch core: processor time of one event, microseconds</text>',
    ]
    for level in np.linspace(0, top, 6):
        y = _y(float(level), top)
        lines.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 30}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{level:.0f}</text>')
    for x, each in zip(steps, found, strict=True):
        text = f"{each.workers:,} workers"
        lines.append(f'<text x="{x:.0f}" y="{_HEIGHT - 26}" text-anchor="middle">{text}</text>')
        text = f"{each.chunks:,} chunks"
        lines.append(f'<text x="{x:.0f}" y="{_HEIGHT - 10}" text-anchor="middle">{text}</text>')
    for place, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x:.0f},{_y(v, top)}" for x, v in zip(steps, values, strict=True))
        colour = _COLOURS[name]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        lines.append(f'<text x="{_LEFT + 10 + 130 * place}" y="42" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _y(value: float, top: float) -> int:
    return round(_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - 55))


if __name__ == "__main__":
    main()
