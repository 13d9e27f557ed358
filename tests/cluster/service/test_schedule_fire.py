from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scheduler.queue.records import JobOutcome
from scheduler.queue.store import QueueStore
from scheduler.schedules.rule import Rule
from scheduler.schedules.store import add_schedule, get_schedule
from tests.cluster.service.command import ServiceProcess

_LIMIT_S = 90.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "q.sqlite") as opened:
        yield opened


def request_of(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """What a schedule adds: an image to render."""
    picture = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    cv2.imwrite(str(folder / f"{name}.png"), picture)
    return {
        "targets": [f"{name}.png"],
        "output": f"{name}-out.png",
        "values": {"frame_processor": ["none"], "overwrite": True},
        "folder": str(folder),
        **changes,
    }


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_service_fires_schedules_when_their_time_comes(store: QueueStore, tmp_path: Path) -> None:
    service = ServiceProcess(store.path)
    until(lambda: bool(service.said), "the service does not start")
    now = datetime.now(UTC)
    once = Rule(at=now + timedelta(seconds=2))
    add_schedule(store, "once", once, request_of(tmp_path, "once"), now)
    every = Rule(every=timedelta(seconds=1), start=now)
    add_schedule(store, "often", every, request_of(tmp_path, "often", again=True), now)

    def done(name: str) -> int:
        jobs = [job for job in store.jobs() if job.target.stem == name]
        return sum(job.outcome is JobOutcome.DONE for job in jobs)

    until(lambda: done("once") >= 1, "the one-off time did not fire")
    until(lambda: done("often") >= 2, "the interval did not fire twice")
    assert service.stop() == 0
    (job,) = [job for job in store.jobs() if job.target.stem == "once"]
    assert store.history(job.job_id)[0].who == "schedule once"
    assert once.at is not None
    assert once.at <= job.added
    assert get_schedule(store, "once").next_fire is None
    rendered, source = (cv2.imread(str(tmp_path / f"once{x}.png")) for x in ("-out", ""))
    assert rendered is not None
    assert source is not None
    assert np.array_equal(rendered, source)
