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

from farm.bench.plot import line_plot
from scheduler.simulate import Simulation, simulate


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
    places = [(f"{each.workers:,} workers", f"{each.chunks:,} chunks") for each in found]
    return line_plot("Dispatch core: processor time of one event, microseconds", places, series)


if __name__ == "__main__":
    main()
