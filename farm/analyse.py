"""The chunk analyser: decodes chunks as a render does and says which faces their frames show.

Two threads and one bounded queue. Frames are gathered to segments from anchor to anchor, so that
how a clip is cut into chunks does not show. Not for: what becomes of the faces
(`farm.faces.track`), or deciding what is analysed (`scheduler`).
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

import cv2

from farm.chunk_task import ChunkResult, ChunkTask, RenderSetup, chunk_error
from farm.errors import ChunkError
from farm.faces.observe import Observer, segment_frames
from farm.frames import Blocks, FrameSource
from farm.media.frame import EditableFrame
from farm.process import open_observer
from farm.render import queue_frames


@dataclass(slots=True, kw_only=True)
class _Work:
    """A chunk on its way."""

    task: ChunkTask
    blocks: Blocks
    future: Future[ChunkResult]
    result: ChunkResult
    segment: list[EditableFrame] = field(default_factory=list)
    """Frames since the last anchor."""

    def fail(self, stage: str, error: Exception) -> None:
        """Report an error, the first one only."""
        with suppress(InvalidStateError):  # Has failed before, or nobody wants it any more.
            self.future.set_exception(chunk_error(self.task.chunk_index, stage, error))


@dataclass(frozen=True, slots=True)
class _Item:
    """A frame of a chunk, or its end where there is no frame."""

    work: _Work
    frame: EditableFrame | None


class ChunkAnalyser:
    """Analyses chunks one after another; several may be in it at once. Close it at the end."""

    why_in_memory = "nothing is encoded"
    """Why frames do not stay on a device."""

    def __init__(self, setup: RenderSetup) -> None:
        """Load the models and start the threads.

        Raises:
            SetupError: A model is missing or a provider does not load.
        """
        if setup.faces.analysis is None:
            raise ValueError("the job has no analysis")
        self._setup = setup
        self._closed = False
        self.activity = 0
        """Grows with everything that is done."""
        cv2.setNumThreads(setup.decode_threads)
        self._observer: Observer = open_observer(setup.faces, setup.threads)
        self._segment = segment_frames(setup.faces.analysis.detect_every)
        self._tasks: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._decoded: queue.Queue[_Item | None] = queue.Queue(queue_frames(setup))
        self._threads = [
            threading.Thread(target=loop, name=loop.__name__, daemon=True)
            for loop in (self._decode_loop, self._look_loop)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: ChunkTask, blocks: Blocks) -> Future[ChunkResult]:
        """Put a chunk in; the arguments are those of `ChunkRenderer.submit`.

        The chunk begins at an anchor, and its last wanted frame is the next anchor behind it, or
        the last frame of the clip.

        Returns:
            A future of the result, whose `sights` are those of the chunk's own frames.

        Raises:
            ChunkError: The analyser is closed.
        """
        if self._closed:
            raise ChunkError(f"chunk {task.chunk_index:05d}: the analyser is closed")
        future: Future[ChunkResult] = Future()
        result = ChunkResult(chunk_index=task.chunk_index)
        self._tasks.put(_Work(task=task, blocks=blocks, future=future, result=result))
        return future

    def close(self) -> None:
        """Finish what was submitted and end the threads; closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _decode_loop(self) -> None:
        source = FrameSource(self._setup, edits=True)
        while (work := self._tasks.get()) is not None:
            try:
                self._decode(source, work)
            except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
                source.close()
                work.fail("decoding", error)
        self._decoded.put(None)

    def _decode(self, source: FrameSource, work: _Work) -> None:
        """Decode one chunk into the queue."""
        for frame in source.frames(work.task, work.blocks, work.result):
            if work.future.done():
                source.close()
                return
            self.activity += 1
            self._decoded.put(_Item(work, frame))
        self._decoded.put(_Item(work, None))

    def _look_loop(self) -> None:
        while (item := self._decoded.get()) is not None:
            work = item.work
            if work.future.done():
                work.segment.clear()
                continue
            try:
                started = time.perf_counter()
                self._take(work, item.frame)
                work.result.detect_s += time.perf_counter() - started
                if item.frame is None:
                    with suppress(InvalidStateError):
                        work.future.set_result(work.result)
            except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
                work.fail("analysing", error)

    def _take(self, work: _Work, frame: EditableFrame | None) -> None:
        """Take the next frame; look at a segment when the anchor behind it is there."""
        if frame is not None:
            work.segment.append(frame)
            if len(work.segment) > self._segment:
                self._look(work, closed=True)
        elif len(work.result.sights) < len(work.task.owned):
            self._look(work, closed=False)

    def _look(self, work: _Work, *, closed: bool) -> None:
        """Look at the segment that was gathered; the anchor behind it begins the next one."""
        seen = self._observer.look(work.segment, closed=closed)
        self.activity += len(seen)
        work.segment = work.segment[-1:] if closed else []
        result = work.result
        result.sights += seen
        result.frames += len(seen)
        result.faces += sum(len(sight.faces) for sight in seen)
        result.frames_without_face += sum(not sight.faces for sight in seen)
