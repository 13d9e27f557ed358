"""Chunks and frames on their way through the pipeline of a worker.

Not for: the stages that they pass (`farm.render`, `farm.encode_stage`).
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from farm.chain import ProcessorChain
from farm.chunk_task import ChunkResult, ChunkTask, chunk_error
from farm.emit import FrameEmitter
from farm.faces.flicker import FlickerMeter
from farm.frames import Blocks
from farm.media.chunk_file import EncodedPacket
from farm.media.encode import ChunkEncoder
from farm.media.frame import EditableFrame
from farm.media.packets import PacketBlock
from farm.spans import SpanBook


@dataclass(slots=True, kw_only=True)
class ChunkWork:
    """A chunk on its way through the pipeline."""

    task: ChunkTask
    blocks: Blocks
    future: Future[ChunkResult]
    result: ChunkResult
    emitter: FrameEmitter
    chain: ProcessorChain | None
    waiting: deque[WorkItem] = field(default_factory=deque)
    """Decoded frames that are not through all processors, where there is a chain."""
    ready: int = 0
    """How many of them are through, and not passed on yet."""
    encoder: ChunkEncoder | None = None
    packets: list[EncodedPacket] = field(default_factory=list)
    book: SpanBook = field(default_factory=SpanBook)
    meter: FlickerMeter | None = None

    @property
    def dead(self) -> bool:
        """Whether it has failed already, so that its frames are not worth anything."""
        return self.future.done()

    def fetched(self, start: int) -> Iterator[PacketBlock]:
        """The packet blocks from a packet on; the time that it takes to get each is no decoding."""
        blocks = iter(self.blocks(start))
        while True:
            began = time.perf_counter()
            with self.book.working("fetch"), self.book.waiting("decode"):
                block = next(blocks, None)
            waited_s = time.perf_counter() - began
            self.result.fetch_s += waited_s
            self.result.decode_s -= waited_s
            if block is None:
                return
            yield block

    def fail(self, stage: str, error: Exception) -> None:
        """Report an error, the first one only; chunk and stage are named where it does not."""
        with suppress(InvalidStateError):  # Has failed before, or nobody wants it any more.
            self.future.set_exception(chunk_error(self.task.chunk_index, stage, error))

    def succeed(self) -> None:
        """Hand the result on, unless it has failed."""
        with suppress(InvalidStateError):  # Has failed, or nobody wants it any more.
            self.future.set_result(self.result)


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A frame of a chunk, or its end where there is no frame."""

    work: ChunkWork
    frame: EditableFrame | None
    position: int = 0
    """Of a decoded frame, among the chunk's source frames."""


def take_items(
    source: queue.Queue[WorkItem | None], most: int, *, full: bool
) -> list[WorkItem] | None:
    """Wait for one item and take what else is there; None at the end.

    With `full` more is waited for, until there are `most` or a chunk ends.
    """
    first = source.get()
    if first is None:
        return None
    items = [first]
    while len(items) < most and not (full and items[-1].frame is None):
        try:
            item = source.get(block=full)
        except queue.Empty:
            break
        if item is None:
            source.put(None)
            break
        items.append(item)
    return items
