"""One attempt at a chunk in plain numbers, as it goes to a worker.

Not for: deciding which attempt (`scheduler.dispatch`) or shipping its packets (`actors.shipping`).
"""

from __future__ import annotations

from farm.chunk_task import ChunkTask, Shown
from farm.faces.casting import CastRows
from farm.media.decode import DecodeRequest
from farm.media.plan import FramePlan
from scheduler.chunks import Chunk
from scheduler.instructions import Render


def shipped_from(order: Render) -> int:
    """Return the first packet that a worker needs for an order."""
    if order.after is None:
        return order.packet_start
    # The decoder stands behind the chunk before; only what follows is shipped.
    return min(order.after.packet_stop, order.chunk.packet_stop - 1)


def chunk_task(
    chunk: Chunk,
    plan: FramePlan,
    *,
    packet_start: int,
    shipped_from: int,
    proven: bool,
    rows: CastRows | None = None,
    token: int | None = None,
    keep: bool = False,
) -> ChunkTask:
    """Say what a worker needs to know of a chunk.

    Args:
        chunk: What is to be rendered.
        plan: The frames.
        packet_start: The keyframe to decode from.
        shipped_from: The first packet that is shipped.
        proven: See `DecodeRequest.proven`.
        rows: The face table, None without one.
        token: Of the attempt.
        keep: Whether the frames are encoded as they are.
    """
    output, frames = plan.output, slice(chunk.frame_start, chunk.frame_stop)
    sources = output.needed[chunk.decode_start : chunk.decode_stop]
    owned = range(chunk.owned_start - chunk.decode_start, chunk.owned_stop - chunk.decode_start)
    looks = plan.looks[(plan.looks >= chunk.owned_start) & (plan.looks < chunk.owned_stop)]
    first, second = (sources.searchsorted(each[frames]) for each in (output.first, output.second))
    return ChunkTask(
        chunk_index=chunk.chunk_index,
        token=token,
        keep=keep,
        frame_start=chunk.frame_start,
        pts=tuple(output.times.pts[frames].tolist()),
        sources=tuple(sources.tolist()),
        owned=owned,
        shows=tuple(
            Shown(*each)
            for each in zip(
                first.tolist(), second.tolist(), output.phases[frames].tolist(), strict=True
            )
        ),
        request=DecodeRequest(
            wanted=tuple(plan.packets[sources].tolist()),
            packet_start=packet_start,
            packet_stop=chunk.packet_limit,
            shipped_from=shipped_from,
            proven=proven,
            held_from=chunk.held_from - chunk.decode_start,
        ),
        looks=tuple((looks - chunk.decode_start).tolist()),
        faces=None if rows is None else rows.of(sources.tolist()),
    )
