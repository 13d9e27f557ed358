from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.worker import ChunkWorker, Outcome, Shipment
from farm.chunk_task import ChunkTask
from farm.errors import ChunkError, ModelError
from farm.settings import ProcessorSettings
from tests.media_maker import Studio
from tests.rendering import (
    Job,
    blocks_of,
    face_job,
    job_for,
    serial_md5s,
    shown_md5s,
    task_of,
)


@pytest.fixture
def workers() -> Iterator[list[ChunkWorker]]:
    made: list[ChunkWorker] = []
    yield made
    for worker in made:
        worker.close()


def start(job: Job, workers: list[ChunkWorker]) -> ChunkWorker:
    """A worker whose references are the blocks themselves."""
    worker = ChunkWorker(job.setup, get=lambda block: block)
    workers.append(worker)
    worker.start()
    return worker


def ship(job: Job, task: ChunkTask, ticket: int) -> Shipment:
    blocks = [b for b in blocks_of(job) if b.stop > task.request.shipped_from]
    starts = tuple(block.start for block in blocks)
    return Shipment(ticket=ticket, token=ticket, task=task, starts=starts, refs=tuple(blocks))


def test_a_worker_says_what_it_is(
    media_studio: Studio, tmp_path: Path, workers: list[ChunkWorker]
) -> None:
    worker = start(job_for(media_studio.path("plain.mp4"), tmp_path), workers)
    facts = worker.start()
    assert facts.pid == os.getpid()
    assert (facts.provider, facts.threads) == ("cpu", 1)
    assert facts.why_in_memory == "no NVDEC was asked for"
    assert worker.memory_bytes() > 1 << 20


def test_a_rendered_chunk_is_stored_and_told(
    media_studio: Studio, tmp_path: Path, workers: list[ChunkWorker]
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    worker = start(job, workers)
    answers = [worker.render(ship(job, task_of(job, i), i)) for i in range(len(job.chunks))]
    assert {answer.outcome for answer in answers} == {Outcome.DONE}
    assert sum(a.result.frames for a in answers if a.result) == 60
    assert shown_md5s(job) == serial_md5s(path)


def test_chunks_enter_in_the_order_of_their_tickets(
    media_studio: Studio, tmp_path: Path, workers: list[ChunkWorker]
) -> None:
    path = media_studio.path("one_gop.mp4")
    job = job_for(path, tmp_path, chunk_seconds=0.5)
    worker = start(job, workers)
    shipments = [
        ship(job, task_of(job, i, shipped_from=job.chunks[i - 1].packet_stop if i else 0), i)
        for i in range(3)
    ]
    with ThreadPoolExecutor(3) as calls:
        answers = list(calls.map(worker.render, reversed(shipments)))
    assert {answer.outcome for answer in answers} == {Outcome.DONE}


@pytest.mark.parametrize(
    ("name", "chunk_index", "changes", "outcome"),
    [
        ("one_gop.mp4", 2, {"shipped_from": 30, "packet_start": 0}, Outcome.DECODER_CLOSED),
        (
            "intra_refresh.mp4",
            2,
            {"shipped_from": 15, "packet_start": 15, "proven": False},
            Outcome.FALSE_KEYFRAME,
        ),
        ("one_gop.mp4", 0, {"packet_stop": 8, "proven": False}, Outcome.FRAMES_MISSING),
    ],
)
def test_what_another_attempt_can_mend_is_an_answer(
    media_studio: Studio,
    tmp_path: Path,
    workers: list[ChunkWorker],
    name: str,
    chunk_index: int,
    changes: dict[str, Any],
    outcome: Outcome,
) -> None:
    job = job_for(media_studio.path(name), tmp_path, chunk_seconds=0.5)
    worker = start(job, workers)
    answer = worker.render(ship(job, task_of(job, chunk_index, **changes), 0))
    assert answer.outcome is outcome
    assert answer.result is None


def test_only_blocks_that_the_decoder_needs_are_fetched(
    media_studio: Studio, tmp_path: Path, workers: list[ChunkWorker]
) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path, chunk_seconds=0.5)
    blocks = blocks_of(job)
    fetched: list[int] = []

    def get(ref: Any) -> Any:
        fetched.append(ref)
        return blocks[ref]

    worker = ChunkWorker(job.setup, get=get)
    workers.append(worker)
    worker.start()
    task = task_of(job, 1)
    refs = tuple(range(len(blocks)))
    shipment = Shipment(
        ticket=0, token=0, task=task, starts=tuple(b.start for b in blocks), refs=refs
    )
    assert worker.render(shipment).outcome is Outcome.DONE
    assert blocks[fetched[0]].start <= task.request.packet_start < blocks[fetched[0]].stop
    assert len(fetched) < len(blocks)


def test_a_missing_model_is_said_as_it_is(media_studio: Studio, tmp_path: Path) -> None:
    faces = face_job(ProcessorSettings(names=("face_swapper",), detector="scrfd"))
    job = job_for(media_studio.path("plain.mp4"), tmp_path, faces=faces)
    worker = ChunkWorker(job.setup)
    with pytest.raises(ModelError):
        worker.start()
    worker.close()


def test_a_chunk_before_the_start_is_refused(media_studio: Studio, tmp_path: Path) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path)
    with pytest.raises(ChunkError, match="before it was started"):
        ChunkWorker(job.setup).render(ship(job, task_of(job, 0), 0))


def test_what_crosses_processes_survives_it(media_studio: Studio, tmp_path: Path) -> None:
    job = job_for(media_studio.path("plain.mp4"), tmp_path)
    for value in (job.setup, task_of(job, 0), replace(job.setup, frames_dir=tmp_path)):
        assert pickle.loads(pickle.dumps(value)) == value


def test_a_chunk_that_an_earlier_encoder_left_is_not_rendered_and_keeps_nobody_waiting(
    media_studio: Studio, tmp_path: Path, workers: list[ChunkWorker]
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    earlier = job_for(path, tmp_path / "earlier", chunk_seconds=0.5, request="asked")
    first = start(earlier, workers)
    first.render(ship(earlier, task_of(earlier, 0), 0))
    job = job_for(
        path,
        tmp_path / "next",
        chunk_seconds=0.5,
        request="asked",
        earlier_dir=earlier.setup.chunk_dir,
    )
    worker = start(job, workers)
    nothing = replace(ship(job, task_of(job, 0), 0), starts=(), refs=())
    assert worker.render(nothing).outcome is Outcome.DONE
    for number in range(1, len(job.chunks)):
        assert worker.render(ship(job, task_of(job, number), number)).outcome is Outcome.DONE
    assert shown_md5s(job) == serial_md5s(path)
