"""All chunks of a video, decoded as the farm does it, without Ray and without encoding.

The dispatch core gives the orders, packets are shipped as the pool ships them. Not for: references;
those are `tests.media_maker.serial_frames`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actors.tasks import chunk_task
from farm.errors import JobError
from farm.media.decode import (
    ChunkDecoder,
    DecodedFrame,
    DecoderClosedError,
    FalseKeyframeError,
    NeedEarlierError,
)
from farm.media.index import IndexClass, VideoIndex, build_index
from farm.media.listing import list_frames
from farm.media.packets import PacketReader
from farm.media.plan import FramePlan, plan_frames
from scheduler.chunks import Lead, cut_chunks
from scheduler.dispatch import Dispatch
from scheduler.instructions import Drop, Fail, Instruction, Render
from tests.media_maker import frame_md5


@dataclass(slots=True, kw_only=True)
class ChunkRun:
    """What came of it."""

    md5s: list[str | None] = field(default_factory=list)
    """Of each frame; None where it is lost."""
    corrupt: int = 0
    orders: int = 0
    closed: int = 0
    """How often a decoder was not open where it should have been."""
    chunks: int = 0
    lanes: int = 0


def planned(path: Path) -> tuple[VideoIndex, FramePlan]:
    """Index and plan of a file, with a listing where the index is not trusted."""
    index = build_index(path)
    listing = list_frames(index) if index.index_class is IndexClass.UNTRUSTED else None
    return index, plan_frames(index, listing)


def decode_chunks(
    index: VideoIndex,
    plan: FramePlan,
    chunk_seconds: float | None,
    *,
    workers: int = 1,
    threads: int = 1,
    lead: Lead | None = None,
) -> ChunkRun:
    """Decode all chunks, each worker taking its orders one after another, in turns."""
    chunks = cut_chunks(index, plan, chunk_seconds, lead)
    run = ChunkRun(chunks=len(chunks), lanes=len({chunk.lane for chunk in chunks}))
    dispatch = Dispatch(chunks, [int(key) for key in np.flatnonzero(index.keyframes)])
    decoders = [ChunkDecoder(index.stream, threads) for _ in range(workers)]
    queues: list[deque[Render]] = [deque() for _ in range(workers)]
    found: dict[int, list[str | None]] = {}

    def take(instructions: list[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Fail):
                raise JobError(instruction.message)
            if isinstance(instruction, Render):
                queues[instruction.worker].append(instruction)
            else:
                assert isinstance(instruction, Drop)

    for worker in range(workers):
        take(dispatch.worker_up(worker))
    with PacketReader(index) as reader:
        while not dispatch.finished:
            for worker, queue in enumerate(queues):
                if queue:
                    order = queue.popleft()
                    run.orders += 1
                    take(_carry_out(dispatch, order, decoders[worker], reader, plan, found, run))
    run.md5s = [md5 for chunk in chunks for md5 in found[chunk.chunk_index]]
    return run


def _carry_out(
    dispatch: Dispatch,
    order: Render,
    decoder: ChunkDecoder,
    reader: PacketReader,
    plan: FramePlan,
    found: dict[int, list[str | None]],
    run: ChunkRun,
) -> list[Instruction]:
    """One order, and what the dispatch core says to its outcome."""
    chunk = order.chunk
    if not dispatch.holds(order.token):
        return []
    try:
        frames = list(_decode(order, decoder, reader, plan))
    except DecoderClosedError:
        run.closed += 1
        return dispatch.decoder_closed(order.token)
    except FalseKeyframeError:
        return dispatch.keyframe_false(order.token, order.packet_start)
    except NeedEarlierError:
        return dispatch.frames_missing(order.token)
    places = plan.output.places(chunk.frame_start, chunk.frame_stop)
    own = frames[places[0] - chunk.decode_start : places[1] - chunk.decode_start]
    found[chunk.chunk_index] = [None if f.frame is None else frame_md5(f.frame) for f in own]
    run.corrupt += sum(f.frame is not None and f.frame.is_corrupt for f in frames)
    return dispatch.chunk_done(order.token)


def _decode(
    order: Render, decoder: ChunkDecoder, reader: PacketReader, plan: FramePlan
) -> list[DecodedFrame]:
    chunk = order.chunk
    shipped_from = order.packet_start
    if order.after is not None:
        shipped_from = min(order.after.packet_stop, chunk.packet_stop - 1)
    blocks = [reader.read(b) for b in reader.blocks_of(shipped_from, chunk.packet_limit)]
    task = chunk_task(
        chunk,
        plan,
        packet_start=order.packet_start,
        shipped_from=shipped_from,
        proven=order.proven,
    )
    return list(decoder.decode(task.request, lambda start: [b for b in blocks if b.stop > start]))
