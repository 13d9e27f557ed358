from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from scheduler.queue.adding import add_jobs
from scheduler.queue.records import JobOutcome, JobState
from scheduler.queue.requests import JobRequest, build_jobs
from scheduler.queue.store import JobFilter, QueueStore
from tests.cluster.service.command import ServiceProcess
from tests.media_maker import Studio, serial_frames
from tests.scheduler.queue.made_up import NOW

_IMAGES, _VIDEOS, _KILLS = 194, 6, 10
_LIMIT_S = 1500.0


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_two_services_do_every_job_once_although_one_is_killed_again_and_again(
    tmp_path: Path, media_studio: Studio
) -> None:
    store_path = tmp_path / "q.sqlite"
    pictures = _fill(tmp_path, store_path, media_studio)
    steady, killed = (_service(store_path) for _ in range(2))
    chance = random.Random(1)
    with QueueStore(store_path) as store:
        for kill in range(_KILLS):
            _wait_for(store, (kill + chance.random()) * (_IMAGES + _VIDEOS) / (_KILLS + 1))
            killed.kill()
            killed = _service(store_path)
        assert steady.wait(_LIMIT_S) == 0
        assert killed.wait(_LIMIT_S) == 0
        jobs = store.jobs()
        assert [job.message for job in jobs if job.outcome is not JobOutcome.DONE] == []
        assert Counter(job.outcome for job in jobs) == {JobOutcome.DONE: _IMAGES + _VIDEOS}
        for job in jobs:
            whats = [entry.what for entry in store.history(job.job_id)]
            assert whats.count("done") == 1
            assert whats.count("begun") == job.attempts == whats.count("lost") + 1
        assert sum(job.attempts > 1 for job in jobs) >= 1
    for target, picture in pictures.items():
        rendered = cv2.imread(str(tmp_path / "out" / target.name))
        assert rendered is not None
        assert np.array_equal(rendered, picture)
    source = _md5s(media_studio.path("no_audio.mp4"))
    for number in range(_VIDEOS):
        assert _md5s(tmp_path / "out" / f"v{number}.mkv") == source
    assert not list((tmp_path / "out").glob(".*"))
    assert not [p for p in psutil.process_iter() if "cluster.service.child" in p.cmdline()]


def _fill(folder: Path, store_path: Path, studio: Studio) -> dict[Path, NDArray[np.uint8]]:
    """Put the jobs into the queue; returns the images by their paths."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    chance = np.random.default_rng(1)
    pictures: dict[Path, NDArray[np.uint8]] = {}
    for number in range(_IMAGES):
        path = folder / "in" / f"{number:03d}.png"
        pictures[path] = chance.integers(0, 255, (20, 30, 3), np.uint8)
        cv2.imwrite(str(path), pictures[path])
    for number in range(_VIDEOS):
        data = studio.path("no_audio.mp4").read_bytes()
        (folder / "in" / f"v{number}.mkv").write_bytes(data)
    values = {"frame_processor": ["none"], "video_quality": 0, "chunk_seconds": 0.3}
    requests = [
        JobRequest(targets=(f"in/{pattern}",), output=f"out/{{stem}}.{suffix}", values=values)
        for pattern, suffix in (("*.png", "png"), ("*.mkv", "mkv"))
    ]
    with QueueStore(store_path) as store:
        jobs = [job for request in requests for job in build_jobs(request, folder)]
        chance_order = random.Random(1)
        chance_order.shuffle(jobs)
        add_jobs(store, jobs, who="test", now=NOW)
    return pictures


def _md5s(path: Path) -> list[str]:
    return [frame.md5 for frame in serial_frames(path)]


def _service(store_path: Path) -> ServiceProcess:
    return ServiceProcess(store_path, "--until-empty", "--lease-seconds", 4)


def _wait_for(store: QueueStore, ended: float) -> None:
    """Wait until so many jobs have ended."""
    deadline = time.monotonic() + _LIMIT_S
    while len(store.jobs(JobFilter(states=(JobState.ENDED,)))) < ended:
        assert time.monotonic() < deadline
        time.sleep(0.1)
