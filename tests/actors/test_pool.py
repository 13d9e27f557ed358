from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.nodes import NodeNews
from actors.pool import WorkerPool
from actors.run import _cause
from actors.shipping import PacketShipper
from farm.chunk_task import ChunkResult
from farm.errors import ChunkError, ClusterError, EncoderError, JobError, ModelError
from farm.job_folder import accept_attempt
from farm.media.packets import PacketReader
from farm.settings import ProcessorSettings
from scheduler.dispatch import Dispatch
from scheduler.workers import WorkerPlan
from tests.actors.fake_ray import FakeActor, FakeRay, task_error
from tests.media_maker import Studio
from tests.rendering import ONE_FRAME_S, Job, face_job, job_for, serial_md5s, shown_md5s

RECIPES = (
    "h264_open_gop.mp4",
    "h264_b_pyramid.mp4",
    "vfr.mp4",
    "one_gop.mp4",
    "intra_refresh.mp4",
    "no_reorder_info.mp4",
    "edit_list.mp4",
    "vp9_hidden_frames.webm",
    "raw.264",
    "bframes.avi",
    "fields.ts",
    "h264_10bit.mp4",
    "hevc_open_gop.mp4",
    "prores.mov",
    "late_video.mp4",
)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setattr("actors.run.ray", fake)
    monkeypatch.setattr("actors.crew.ray", fake)
    yield fake
    fake.close()


def make_pool(job: Job, plan: WorkerPlan) -> WorkerPool:
    return WorkerPool(job.setup, plan, nodes=NodeNews, room=lambda _: True)


def render(
    job: Job,
    workers: int = 2,
    stop: Callable[[list[ChunkResult]], bool] = lambda _done: False,
) -> list[ChunkResult]:
    """Run the pool as the driver does."""
    plan = WorkerPlan.alike(workers)
    keyframes = np.flatnonzero(job.index.keyframes).tolist()
    dispatch = Dispatch(job.chunks, keyframes, workers=workers)
    done: list[ChunkResult] = []

    def keep(_worker: int, result: ChunkResult) -> None:
        assert result.token is not None
        accept_attempt(job.setup.chunk_dir, result.chunk_index, result.token)
        done.append(result)

    with PacketReader(job.index) as reader, make_pool(job, plan) as pool:
        shipper = PacketShipper(reader, lambda block: block, 0)
        pool.run(
            dispatch,
            job.plan,
            shipper,
            keep,
            lambda: stop(done),
        )
    return done


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("name", RECIPES)
def test_chunks_of_one_frame_show_what_a_serial_decode_shows(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, name: str, workers: int
) -> None:
    path = media_studio.path(name)
    job = job_for(path, tmp_path, chunk_seconds=ONE_FRAME_S)
    assert len(job.chunks) == len(job.plan)
    done = render(job, workers)
    assert sorted(r.chunk_index for r in done) == list(range(len(job.chunks)))
    assert shown_md5s(job) == serial_md5s(path)


@pytest.mark.parametrize("chunk_seconds", [0.2, 0.7, 100.0])
@pytest.mark.parametrize("name", RECIPES)
def test_longer_chunks_show_what_a_serial_decode_shows(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, name: str, chunk_seconds: float
) -> None:
    path = media_studio.path(name)
    job = job_for(path, tmp_path, chunk_seconds=chunk_seconds)
    render(job)
    assert shown_md5s(job) == serial_md5s(path)


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.2)
    calls: list[str] = []

    def on_call(actor: FakeActor, name: str, _args: Any) -> None:
        calls.append(name)
        if calls.count("render") == 3 and name == "render":
            actor.die()

    ray.on_call = on_call
    done = render(job)
    assert len(ray.actors) == 3
    assert sorted(r.chunk_index for r in done) == list(range(len(job.chunks)))
    assert shown_md5s(job) == serial_md5s(path)
    assert any("is lost" in record.getMessage() for record in caplog.records)


def test_a_chunk_that_brings_every_worker_down_ends_the_job(
    ray: FakeRay, media_studio: Studio, tmp_path: Path
) -> None:
    job = job_for(media_studio.path("h264_open_gop.mp4"), tmp_path, chunk_seconds=0.2)

    def on_call(actor: FakeActor, name: str, args: Any) -> None:
        if name == "render" and args[0].task.chunk_index == 0:
            actor.die()

    ray.on_call = on_call
    with pytest.raises(JobError, match="finished chunks are kept, run the command again"):
        render(job, workers=1)


def test_a_worker_that_dies_while_it_starts_is_replaced_a_few_times(
    ray: FakeRay, media_studio: Studio, tmp_path: Path
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    starts: list[FakeActor] = []

    def on_call(actor: FakeActor, name: str, _args: Any) -> None:
        if name == "start":
            starts.append(actor)
            if len(starts) <= deaths:
                actor.die()

    ray.on_call = on_call
    deaths = 2
    render(job, workers=1)
    assert shown_md5s(job) == serial_md5s(path)
    starts.clear()
    deaths = 100
    with pytest.raises(ClusterError, match="workers do not start"):
        render(job, workers=1)


def test_an_attempt_that_fails_is_repeated_and_then_ends_the_job(
    ray: FakeRay,
    media_studio: Studio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    left = [2]

    def broken(*_: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise OSError("the disk coughs")

    monkeypatch.setattr("farm.encode_stage.chunk_header", _after(broken))
    render(job, workers=1)
    assert shown_md5s(job) == serial_md5s(path)
    assert "the disk coughs" in caplog.text
    left[0] = 100
    with pytest.raises(JobError, match=re.escape("the disk coughs")):
        render(job, workers=1)


def _after(first: Callable[..., None]) -> Callable[..., Any]:
    from farm.media.encode import chunk_header

    def call(*args: Any) -> Any:
        first(*args)
        return chunk_header(*args)

    return call


def test_an_error_that_no_attempt_can_mend_ends_the_job_at_once(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise EncoderError("x cannot encode here")

    monkeypatch.setattr("farm.encode_stage.ChunkEncoder", refuse)
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    with pytest.raises(EncoderError, match="x cannot encode here"):
        render(job)
    faces = face_job(ProcessorSettings(names=("face_swapper",), detector="scrfd"))
    with pytest.raises(ModelError):
        render(job_for(media_studio.path("plain.mp4"), tmp_path, faces=faces))


def test_stopping_finishes_the_chunks_in_hand_and_begins_no_other(
    ray: FakeRay, media_studio: Studio, tmp_path: Path
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=ONE_FRAME_S)
    asked: list[int] = []

    def on_call(_actor: FakeActor, name: str, args: Any) -> None:
        if name == "render":
            asked.append(args[0].task.chunk_index)

    ray.on_call = on_call
    done = render(job, stop=lambda results: len(results) >= 3)
    assert 3 <= len(done) < len(job.chunks)
    assert sorted(r.chunk_index for r in done) == sorted(asked)
    assert len(list(tmp_path.glob("*.chunk"))) == len(done)


def test_the_store_never_holds_more_than_the_chunks_in_hand(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    most: list[int] = []
    original = PacketShipper.ship

    def ship(self: PacketShipper, *args: int) -> Any:
        blocks = original(self, *args)
        most.append(self.held_bytes)
        return blocks

    monkeypatch.setattr(PacketShipper, "ship", ship)
    render(job, workers=1)
    assert len(most) == len(job.chunks) > 3
    assert max(most) < int(job.index.sizes.sum())


def test_workers_are_actors_that_are_never_restarted_behind_the_pools_back(
    ray: FakeRay, media_studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    render(job_for(media_studio.path("plain.mp4"), tmp_path), workers=1)
    assert [o["max_restarts"] for o in ray.options] == [0]
    assert [o["num_cpus"] for o in ray.options] == [1]


def test_what_a_worker_says_of_its_memory_leaves_out_the_dead(
    ray: FakeRay, media_studio: Studio, tmp_path: Path
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path)
    plan = WorkerPlan.alike(2)
    with make_pool(job, plan) as pool:
        ray.actors[0].die()
        assert list(pool.memory_bytes()) == [1]


def test_chunk_error_is_what_an_unknown_failure_becomes() -> None:
    assert isinstance(_cause(task_error(ValueError("what"))), ChunkError)
