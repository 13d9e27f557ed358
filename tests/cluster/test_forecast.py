from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.gpu_watch import GpuUse
from cluster import calibrate
from cluster.calibrate import Measure, _summed, with_shared_gpus
from cluster.forecast import Forecast, forecast, forecast_lines, make_forecast
from cluster.inventory import Inventory
from cluster.plan import JobPlan
from cluster.runtime import RayRuntime
from farm.chunk_task import ChunkResult
from farm.errors import ChunkError
from farm.manifest import to_jsonable
from farm.observer import NullObserver
from farm.settings import RenderSettings
from farm.stop import StopRequest
from scheduler.workers import WorkerCost, WorkerPlan, WorkerWish, plan_workers
from tests.cluster.test_plan import plan as planned
from tests.media_maker import Studio
from tests.rendering import NOTHING
from tests.scheduler.offers import GIB, gpu, node

RUNTIME: Any = None


def measure(fps: float = 10.0, **cost: Any) -> Measure:
    values = {"memory_bytes": GIB} | cost
    return Measure(frames=48, fps=fps, chunk_bytes_per_frame=1000.0, cost=WorkerCost(**values))


@pytest.fixture
def job(media_studio: Studio) -> JobPlan:
    """60 frames in about six chunks, for networks, on a node with a GPU and one without."""
    made = planned(media_studio.path("plain.mp4"), chunk_seconds=0.3)
    offers = (node("gpu", cores=32, gpus=(gpu(),)), node("cpu"))
    wish = WorkerWish(chunks=len(made.chunks))
    return replace(
        made,
        inventory=Inventory(offers=offers),
        wish=wish,
        workers=plan_workers(offers, wish),
    )


def asked(tmp_path: Path, **changes: Any) -> RenderSettings:
    return RenderSettings(target=tmp_path / "a.mp4", output=tmp_path / "b.mp4", **changes)


def trial(measures: dict[str, Measure]) -> Callable[..., dict[str, Measure]]:
    return lambda *_: measures


def test_the_expected_time_is_that_of_all_workers_together(job: JobPlan) -> None:
    found = make_forecast(job, {"id-gpu": measure(90.0), "id-cpu": measure(10.0)}, "id-cpu")
    assert found.expected_s == pytest.approx(60 / 100)
    assert [(n.node, n.workers, n.provider) for n in found.nodes] == [
        ("gpu", 1, "cuda"),
        ("cpu", 1, "cpu"),
    ]
    assert found.chunk_bytes == 60_000
    assert found.returned_bytes == 54_000, "nine of ten frames are rendered away from home"
    assert found.packet_bytes >= int(job.index.sizes.sum())
    assert [(c.frame_start, c.frame_stop) for c in found.chunks] == [
        (c.frame_start, c.frame_stop) for c in job.chunks
    ]
    assert json.dumps(to_jsonable(found))
    lines = list(forecast_lines(found))
    assert lines[0].startswith(f"60 frames in {len(job.chunks)} chunks of ")
    assert any("node gpu: 1 x cuda" in line for line in lines)


def test_workers_that_share_a_gpu_do_no_more_than_it_does(job: JobPlan) -> None:
    costs = {"id-gpu": WorkerCost(memory_bytes=GIB, gpu_memory_bytes=GIB, gpu_utilisation=0.4)}
    workers = plan_workers(job.inventory.offers[:1], replace(job.wish, costs=costs))
    assert workers.workers == 2
    shared = {"id-gpu": measure(10.0, gpu_memory_bytes=GIB, gpu_utilisation=0.4)}
    found = make_forecast(replace(job, workers=workers), shared, "id-gpu")
    assert found.expected_s == pytest.approx(60 / 20)
    busy = {"id-gpu": measure(10.0, gpu_utilisation=0.8)}
    found = make_forecast(replace(job, workers=workers), busy, "id-gpu")
    assert found.expected_s == pytest.approx(60 / 12.5)


def test_the_slowest_part_of_a_worker_sets_its_pace() -> None:
    parts: dict[str, Any] = {"decode_s": 1.0, "detect_s": 1.5, "process_s": 2.5, "encode_s": 3.0}
    results = [ChunkResult(chunk_index=n, frames=24, bytes=2400, **parts) for n in (0, 1)]
    found = _summed(results, 7, [GpuUse(memory_bytes=5, utilisation=0.5)])
    assert (found.frames, found.fps, found.chunk_bytes_per_frame) == (48, 6.0, 100.0)
    assert found.cost == WorkerCost(memory_bytes=7, gpu_memory_bytes=5, gpu_utilisation=0.5)


def test_a_gpu_gets_as_many_workers_as_a_trial_shows_that_it_bears(
    job: JobPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = measure(gpu_memory_bytes=2 * GIB, gpu_utilisation=0.33)
    monkeypatch.setattr(calibrate, "calibrate", trial({"id-gpu": light, "id-cpu": measure()}))
    shared = with_shared_gpus(RUNTIME, asked(tmp_path), job, print).workers
    assert [seat.provider for seat in shared.seats].count("cuda") == 3
    monkeypatch.setattr(calibrate, "calibrate", trial({"id-gpu": measure(gpu_memory_bytes=GIB)}))
    alone = with_shared_gpus(RUNTIME, asked(tmp_path), job, print).workers
    assert [seat.provider for seat in alone.seats].count("cuda") == 1


def test_nothing_is_tried_where_nothing_can_be_shared(job: JobPlan, tmp_path: Path) -> None:
    assert with_shared_gpus(RUNTIME, asked(tmp_path, workers=2), job, print) is job
    cores = replace(job, workers=WorkerPlan.alike(1))
    assert with_shared_gpus(RUNTIME, asked(tmp_path), cores, print) is cores
    few = replace(job, chunks=job.chunks[:2])
    assert with_shared_gpus(RUNTIME, asked(tmp_path), few, print) is few


def test_a_trial_that_fails_leaves_the_plan_as_it_was(
    job: JobPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ChunkError("out of memory")

    monkeypatch.setattr(calibrate, "calibrate", fail)
    assert with_shared_gpus(RUNTIME, asked(tmp_path), job, print) is job
    assert "GPUs are not shared, as the trial failed: out of memory" in caplog.text


@pytest.mark.ray
def test_a_forecast_renders_a_few_frames_and_leaves_nothing(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    settings = RenderSettings(
        target=media_studio.path("plain.mp4"),
        output=tmp_path / "out.mp4",
        processors=NOTHING,
        chunk_seconds=0.5,
    )
    found: Forecast = forecast(settings, NullObserver(), StopRequest(), runtime)
    assert (found.frames, found.trial_frames) == (60, 40)
    assert found.expected_s > 0
    assert found.nodes[0].worker_memory_bytes > 1 << 20
    assert list(tmp_path.iterdir()) == []
