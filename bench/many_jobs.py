"""How long `list`, `add` and a claim take with many jobs in the queue.

    python bench/many_jobs.py --jobs 100000

Not for: rendering.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from scheduler.queue.adding import add_jobs
from scheduler.queue.claims import claim, finish
from scheduler.queue.lines import list_lines
from scheduler.queue.records import JobOutcome, NewJob
from scheduler.queue.store import JobFilter, QueueStore

_BATCH = 1000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Fill a queue and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--tags", type=int, default=20)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        QueueStore(Path(folder) / "queue.sqlite") as store,
    ):
        for start in range(0, options.jobs, _BATCH):
            jobs = [_job(i, options.tags) for i in range(start, start + _BATCH)]
            add_jobs(store, jobs, who="bench", now=_NOW)
        number = iter(range(options.jobs, 2 * options.jobs))
        for name, work in {
            "list (100 jobs)": lambda: list_lines(store.jobs(JobFilter(limit=100)), store.counts()),
            "add": lambda: add_jobs(
                store, [_job(next(number), options.tags)], who="bench", now=_NOW
            ),
            "claim": lambda: claim(store, "bench", _NOW),
            "claim and finish": lambda: _claim_and_finish(store),
        }.items():
            times_ms = [_measure_ms(work) for _ in range(options.runs)]
            print(  # noqa: T201
                f"{name:20} median {statistics.median(times_ms):6.2f} ms,"
                f" worst of {options.runs} {max(times_ms):6.2f} ms"
            )


def _job(number: int, tags: int) -> NewJob:
    return NewJob(
        target=Path(f"/video/in/{number}.mp4"),
        output=Path(f"/video/out/{number}.mp4"),
        values={"target": f"/video/in/{number}.mp4", "frame_processor": ["face_anonymizer"]},
        digest=f"{number:064x}",
        priority=number % 3,
        tags=(f"tag{number % tags}",),
    )


def _claim_and_finish(store: QueueStore) -> None:
    found = claim(store, "bench", _NOW)
    assert found is not None
    finish(store, found[0], _NOW, JobOutcome.DONE, 0, "")


def _measure_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
