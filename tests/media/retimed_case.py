"""A whole job without Ray: planned at other times, rendered chunk by chunk, finished, verified.

Not for: workers and their failures (`tests.cluster`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.chunk_task import ChunkResult
from farm.media.encoders import choose_encoder
from farm.media.final import FinishReport, FinishRequest, finish
from farm.media.index import build_index
from farm.media.packets import PacketBlock
from farm.media.plan import FramePlan
from farm.render import ChunkRenderer
from farm.settings import VerifyLevel
from tests.rendering import Job, blocks_of, job_for, task_of


def render(
    source: Path,
    output: Path,
    retimed: Callable[[FramePlan], FramePlan],
    *,
    chunk_seconds: float | None = 0.3,
    setup: dict[str, Any] | None = None,
    encoder: str = "libx264",
    **changes: Any,
) -> tuple[Job, FinishReport]:
    """Render losslessly; `setup` changes the workers' setup, `changes` the final task's request."""
    work = output.with_name(f"{output.name}.work")
    stream = build_index(source).stream
    choice, _ = choose_encoder(encoder, 0, stream)
    fields = {"encoder": choice} | (setup or {})
    job = job_for(source, work, chunk_seconds=chunk_seconds, retimed=retimed, **fields)
    render_chunks(job)
    frames = job.plan.output
    request = FinishRequest(
        source=source,
        video_stream_index=job.index.stream_index,
        output=output,
        chunk_paths=tuple(work / f"{c.chunk_index:05d}.chunk" for c in job.chunks),
        stream=replace(stream, frame_rate=frames.rate or stream.frame_rate),
        times=frames.times,
        cut=frames.cut,
        clock=job.plan.clock,
        encoder=choice,
        work_dir=work,
        verify=VerifyLevel.FULL,
        **changes,
    )
    return job, finish(request)


def render_chunks(job: Job, **changes: Any) -> list[ChunkResult]:
    """Render all chunks one after another; `changes` are those of each `ChunkTask`."""
    blocks = blocks_of(job)

    def give(first: int) -> Iterator[PacketBlock]:
        yield from (block for block in blocks if block.stop > first)

    renderer = ChunkRenderer(job.setup)
    try:
        tasks = [replace(task_of(job, i), **changes) for i in range(len(job.chunks))]
        return [renderer.submit(task, give).result() for task in tasks]
    finally:
        renderer.close()
