"""A job in small, as the driver would plan it, for tests of what carries it out.

Not for: the plan itself or the finished file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from actors.tasks import chunk_task
from farm.chunk_task import ChunkTask, RenderSetup
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import read_header, read_packets
from farm.media.encoders import choose_encoder
from farm.media.index import IndexClass, VideoIndex, build_index
from farm.media.listing import FrameListing, list_frames
from farm.media.packets import PacketBlock, PacketReader
from farm.media.plan import FramePlan, plan_frames
from farm.media.reshape import Reshape
from farm.models.store import ModelStore
from farm.process import FaceJob
from farm.settings import ProcessorSettings
from scheduler.chunks import Chunk, Lead, cut_chunks
from tests.media_maker import serial_decode

NOTHING = ProcessorSettings(names=("none",))
ONE_FRAME_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A planned job whose chunks go to `setup.chunk_dir`."""

    index: VideoIndex
    plan: FramePlan
    chunks: list[Chunk]
    setup: RenderSetup


def job_for(
    path: Path,
    chunk_dir: Path,
    *,
    chunk_seconds: float | None = None,
    retimed: Callable[[FramePlan], FramePlan] = lambda plan: plan,
    lead: Lead | None = None,
    faces: FaceJob | None = None,
    listing: FrameListing | None = None,
    **changes: Any,
) -> Job:
    """Plan the lossless render of a video, perhaps at other times.

    `changes` are those of its `RenderSetup`.
    """
    index = build_index(path)
    if listing is None and index.index_class is IndexClass.UNTRUSTED:
        listing = list_frames(index)
    plan = retimed(plan_frames(index, listing))
    chunk_dir.mkdir(parents=True, exist_ok=True)
    setup = RenderSetup(
        stream=index.stream,
        output=index.stream,
        reshape=Reshape(),
        encoder=choose_encoder("ffv1", 0, index.stream)[0],
        frame_rate=index.stream.frame_rate,
        fingerprint="job",
        faces=faces or face_job(NOTHING),
        threads=1,
        decode_threads=1,
        chunk_dir=chunk_dir,
    )
    chunks = cut_chunks(index, plan, chunk_seconds, lead)
    return Job(index=index, plan=plan, chunks=chunks, setup=replace(setup, **changes))


def face_job(settings: ProcessorSettings, models: tuple[tuple[str, Path], ...] = ()) -> FaceJob:
    """What a driver decides for these processors, with these models and no others."""
    store = ModelStore(
        models_dir=Path("nowhere"), overrides=models, allow_unverified=True, offline=True
    )
    return FaceJob(settings=settings, models=store, provider="cpu", frame_size=(160, 96))


def task_of(job: Job, chunk_index: int, **changes: Any) -> ChunkTask:
    """The first attempt at a chunk; `changes` are those of its `DecodeRequest`."""
    chunk = job.chunks[chunk_index]
    task = chunk_task(
        chunk,
        job.plan,
        packet_start=chunk.packet_start,
        shipped_from=chunk.packet_start,
        proven=chunk.packet_start == 0,
    )
    return replace(task, request=replace(task.request, **changes))


def blocks_of(job: Job) -> list[PacketBlock]:
    """All packets of the source."""
    with PacketReader(job.index) as reader:
        return [reader.read(number) for number in reader.blocks_of(0, len(job.index))]


def shown_md5s(job: Job) -> list[str]:
    """Samples of all frames that the chunk files show, in order."""
    found = []
    for chunk in job.chunks:
        path = job.setup.chunk_dir / f"{chunk.chunk_index:05d}.chunk"
        header = read_header(path)
        assert (header.frame_start, header.frame_count) == (chunk.frame_start, chunk.frame_count)
        found += [samples_md5(frame) for frame in decode_packets(read_packets(path), header)]
    return found


def serial_md5s(path: Path) -> list[str]:
    """Samples of all frames that a serial decode shows."""
    return [samples_md5(frame) for frame in serial_decode(path)]


def samples_md5(frame: Any) -> str:
    """Hash of a frame's samples, in its own format."""
    samples = np.ascontiguousarray(frame.to_ndarray())
    return hashlib.md5(f"{frame.format.name}".encode() + samples.tobytes()).hexdigest()
