"""What overlaps in the chunk renderer: the end of a chunk with the next, and work on a device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from farm.media.encode import ChunkEncoder
from farm.media.packets import PacketBlock
from farm.process import FaceCounts
from farm.render import ChunkRenderer
from tests.media_maker import Studio
from tests.rendering import Job, blocks_of, job_for, serial_md5s, shown_md5s, task_of

_PATIENCE_S = 30.0


class Stage:
    """A face stage for two threads; the batches of each pair of calls run at the same time."""

    def __init__(self, batch: int) -> None:
        self.idle, self.replaces, self.lanes, self.batch = False, False, 2, batch
        self.sizes: list[int] = []
        self.together = 0
        self._running = 0
        self._lock = threading.Lock()
        self._two = threading.Event()

    def chain(self, shown: range, counted: range) -> None:
        return None

    def run(self, frames: Sequence[Any], *_: object, **_more: object) -> FaceCounts:
        with self._lock:
            self.sizes.append(len(frames))
            self._running += 1
            self.together = max(self.together, self._running)
            if self._running == 2:
                self._two.set()
        self._two.wait(_PATIENCE_S)
        with self._lock:
            self._running -= 1
        return FaceCounts(faces=len(frames))


def render_all(job: Job, renderer: ChunkRenderer) -> list[Any]:
    blocks = blocks_of(job)

    def give(first: int) -> Iterator[PacketBlock]:
        return (block for block in blocks if block.stop > first)

    futures = [renderer.submit(task_of(job, i), give) for i in range(len(job.chunks))]
    try:
        return [future.result() for future in futures]
    finally:
        renderer.close()


def test_two_threads_work_on_a_device_and_frames_keep_their_order(
    media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media_studio.path("plain.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    stage = Stage(batch=4)
    monkeypatch.setattr("farm.render.FaceStage", lambda *_: stage)
    results = render_all(job, ChunkRenderer(job.setup))
    assert stage.together == 2
    assert [r.faces for r in results] == [c.frame_count for c in job.chunks]
    assert shown_md5s(job) == serial_md5s(path)


def test_batches_on_a_device_are_full_but_for_the_last_of_a_chunk(
    media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    stage = Stage(batch=4)
    monkeypatch.setattr("farm.render.FaceStage", lambda *_: stage)
    render_all(job, ChunkRenderer(job.setup))
    wanted: list[int] = []
    for chunk in job.chunks:
        full, rest = divmod(chunk.frame_count, 4)
        wanted += [4] * full + ([rest] if rest else [])
    assert sorted(stage.sizes) == sorted(wanted)


def test_the_next_chunk_is_encoded_while_the_one_before_is_flushed(
    media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media_studio.path("plain.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    opened: list[ChunkEncoder] = []
    second = threading.Event()
    waited: list[bool] = []

    class Encoder(ChunkEncoder):
        def encode(self, *arguments: Any) -> Any:
            if self not in opened:
                opened.append(self)
            if len(opened) == 2:
                second.set()
            return super().encode(*arguments)

        def flush(self) -> Any:
            if self is opened[0]:
                waited.append(second.wait(_PATIENCE_S))
            return super().flush()

    monkeypatch.setattr("farm.encode_stage.ChunkEncoder", Encoder)
    render_all(job, ChunkRenderer(job.setup))
    assert waited == [True]
    assert shown_md5s(job) == serial_md5s(path)


def test_what_a_worker_warns_of_comes_back_with_the_chunk(
    media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=10)
    stage = Stage(batch=64)
    stage.lanes = 1

    def run(frames: Sequence[Any], *_: object, **_more: object) -> FaceCounts:
        logging.getLogger("farm.models.device_session").warning("no room")
        return FaceCounts(faces=len(frames))

    monkeypatch.setattr(stage, "run", run)
    monkeypatch.setattr("farm.render.FaceStage", lambda *_: stage)
    (result,) = render_all(job, ChunkRenderer(job.setup))
    assert set(result.notes) == {"no room"}
