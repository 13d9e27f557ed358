"""A rendered chunk as it stands in the report.

Not for: measuring (`farm.spans`) or drawing (`farm.page`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from farm.chunk_task import ChunkResult
from farm.report import ChunkReport, StageTime


def chunk_report(
    worker: str, result: ChunkResult, frame_start: int, attempts: int = 1
) -> ChunkReport:
    """The report of one chunk; its times are still seconds since 1970."""
    load = result.load
    return ChunkReport(
        chunk_index=result.chunk_index,
        worker=worker,
        frame_start=frame_start,
        frames=result.frames,
        faces=result.faces,
        attempts=attempts,
        bytes=result.bytes,
        cpu_s=round(result.cpu_s, 3),
        peak_memory_bytes=result.peak_memory_bytes,
        stages={
            name: StageTime(
                begin_s=span.begin_s,
                end_s=span.end_s,
                busy_s=max(0.0, span.end_s - span.begin_s - span.waited_s),
            )
            for name, span in result.spans.items()
        },
        device_use=None if load is None else load.use,
        device_memory_bytes=None if load is None else load.memory_bytes,
    )


def since_begin(chunks: Iterable[ChunkReport]) -> tuple[ChunkReport, ...]:
    """The chunks in order, their times counted from the first thing that any worker did."""
    ordered = sorted(chunks, key=lambda chunk: chunk.chunk_index)
    begin_s = min((s.begin_s for c in ordered for s in c.stages.values()), default=0.0)
    return tuple(
        replace(
            chunk,
            stages={
                name: StageTime(
                    begin_s=round(time.begin_s - begin_s, 3),
                    end_s=round(time.end_s - begin_s, 3),
                    busy_s=round(time.busy_s, 3),
                )
                for name, time in chunk.stages.items()
            },
        )
        for chunk in ordered
    )
