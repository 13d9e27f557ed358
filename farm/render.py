"""The chunk renderer: decode, faces and encode as a pipeline that runs on over chunk borders.

A few threads and two bounded queues; the work in them is C code that lets go of the interpreter
lock. On a device two threads work on faces: one prepares and pastes while the other waits for it.
Not for: encoding (`farm.encode_stage`), deciding what is rendered (`scheduler`) or asked for again
(`actors`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import cv2

from farm.chain import ProcessorChain
from farm.chunk_task import ChunkResult, ChunkTask, RenderSetup
from farm.chunk_work import ChunkWork, WorkItem, take_items
from farm.content import ContentWatch
from farm.emit import FrameEmitter
from farm.encode_stage import EncodeStage
from farm.errors import ChunkError
from farm.faces.flicker import FlickerMeter, FlickerWatch, ReplacedFrame
from farm.files import Files, LocalFiles
from farm.frames import Blocks, FrameSource, as_editable
from farm.media.frame import EditableFrame
from farm.models.session import SessionSettings, batch_size
from farm.process import FaceCounts, FaceStage, filled_counts
from farm.processors.base import FaceFrame
from farm.processors.registry import frame_maker
from farm.staying import frame_place
from farm.turns import Turns

DEFAULT_MEMORY_BYTES = 1 << 30
WITHOUT_BOUNDS = 1 << 62
"""As a bound of memory: queues hold whatever comes. For measurements."""
_MAX_QUEUED = 32
_QUEUES = 3
_PNG_COMPRESSION = 3


@dataclass(slots=True)
class _LateWatch:
    """Looks at a batch again in its turn, since two threads may be done in another order."""

    watch: FlickerWatch
    batch: Sequence[ReplacedFrame] = ()

    def before(self, batch: Sequence[ReplacedFrame]) -> None:
        """Look at pictures that are about to be worked on."""
        self.watch.before(batch)

    def after(self, batch: Sequence[ReplacedFrame]) -> None:
        """Keep them until `settle`."""
        self.batch = batch

    def settle(self) -> None:
        """Look at them again."""
        self.watch.after(self.batch)


_Found = tuple[FaceCounts, _LateWatch | None]


class ChunkRenderer:
    """Renders chunks one after another; several may be in it at once. Close it at the end."""

    def __init__(self, setup: RenderSetup, files: Files | None = None) -> None:
        """Load models and start the threads.

        Args:
            setup: The job.
            files: Who puts finished files in place; None for this machine.

        Raises:
            SetupError: A model is missing or a provider does not load.
        """
        self._setup = setup
        self._closed = False
        self._moved = 0
        """Frames that were decoded or processed."""
        # OpenCV would take every core in each worker.
        cv2.setNumThreads(setup.decode_threads)
        self._faces = FaceStage(setup.faces, setup.threads)
        self._content = _content_watch(setup)
        self._maker = frame_maker(setup.faces.settings.names)
        if self._maker is not None:
            self._maker.start(setup.faces.context(setup.threads))
        self._place = frame_place(setup)
        room = queue_frames(setup)
        self._batch = min(room or self._faces.batch, self._faces.batch)
        self._turns = Turns()
        self._lanes_left = self._faces.lanes
        self._tasks: queue.SimpleQueue[ChunkWork | None] = queue.SimpleQueue()
        self._decoded: queue.Queue[WorkItem | None] = queue.Queue(room)
        self._processed: queue.Queue[WorkItem | None] = queue.Queue(room)
        self._stage = EncodeStage(setup, files or LocalFiles(), self._processed)
        self._stage.start()
        lanes = [self._face_loop] * self._faces.lanes
        loops = (self._decode_loop, *lanes, self._stage.encode_loop, self._stage.finish_loop)
        self._threads = [
            threading.Thread(target=loop, name=loop.__name__, daemon=True) for loop in loops
        ]
        for thread in self._threads:
            thread.start()

    @property
    def activity(self) -> int:
        """A number that grows with every frame that is decoded, processed or encoded."""
        return self._moved + self._stage.encoded

    @property
    def why_in_memory(self) -> str:
        """Why frames go through memory; empty where they may stay on the device."""
        return self._place.why_in_memory

    def submit(self, task: ChunkTask, blocks: Blocks) -> Future[ChunkResult]:
        """Put a chunk into the pipeline.

        Args:
            task: What to render.
            blocks: Gives the packet blocks from a packet on; called on the decoding thread.

        Returns:
            A future of the result, which may be cancelled; its errors are those of decoding
            (`NeedEarlierError` and others), `LostFramesError`, and those of processors and encoder.

        Raises:
            ChunkError: The renderer is closed.
        """
        if self._closed:
            raise ChunkError(f"chunk {task.chunk_index:05d}: the renderer is closed")
        future: Future[ChunkResult] = Future()
        result = ChunkResult(chunk_index=task.chunk_index, token=task.token, kept=task.keep)
        emitter = FrameEmitter(task.shows, self._between)
        work = ChunkWork(
            task=task,
            blocks=blocks,
            future=future,
            result=result,
            emitter=emitter,
            chain=None if task.keep else self._faces.chain(task.shown, task.owned),
        )
        owned = task.owned
        if self._faces.replaces and owned:
            work.meter = FlickerMeter(task.sources[owned.start], task.sources[owned.stop - 1] + 1)
        self._tasks.put(work)
        return future

    def close(self) -> None:
        """Finish what was submitted and end the threads; closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._stage.close()

    def _decode_loop(self) -> None:
        edits = not self._faces.idle or self._maker is not None
        source = FrameSource(self._setup, edits=edits, stays=self._place.device)
        while (work := self._tasks.get()) is not None:
            try:
                self._decode(source, work)
            except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
                source.close()
                work.fail("decoding", error)
        self._decoded.put(None)

    def _decode(self, source: FrameSource, work: ChunkWork) -> None:
        """Decode one chunk into the first queue; time spent waiting there is not counted."""
        with work.book.working("decode"):
            for position, frame in enumerate(source.frames(work.task, work.fetched, work.result)):
                if work.dead:
                    source.close()
                    return
                self._moved += 1
                with work.book.waiting("decode"):
                    self._decoded.put(WorkItem(work, frame, position))
            self._decoded.put(WorkItem(work, None))

    def _between(self, first: EditableFrame, second: EditableFrame, phase: float) -> EditableFrame:
        """Make a frame between two."""
        if self._maker is None:
            raise ChunkError("a frame is to be made between two, but no processor makes any")
        stream = self._setup.stream
        made = self._maker.between(first.video_frame, second.video_frame, phase, stream.color)
        return as_editable(made, stream)

    def _face_loop(self) -> None:
        while True:
            turn, items = self._turns.take(self._take)
            if items is None:
                break
            alive = [item for item in items if item.frame is not None and not item.work.dead]
            began = time.time()
            found = self._process(alive) if alive and not self._faces.idle else []
            for work, _ in found:
                work.book.note("process", began, time.time())
            with self._turns.in_turn(turn):
                for work, (counts, watch) in found:
                    _count(work.result, counts)
                    work.ready += counts.done
                    if watch is not None:
                        watch.settle()
                for item in items:
                    self._pass_on(item)
        self._decoded.put(None)  # The other threads end, too.
        with self._turns.in_turn(turn):
            self._lanes_left -= 1
            if not self._lanes_left:
                self._processed.put(None)

    def _take(self) -> list[WorkItem] | None:
        """Take frames, the content filter having seen those that it is to see."""
        began = time.time()
        items = take_items(self._decoded, self._batch, full=self._faces.lanes > 1)
        if items:
            items[0].work.book.note_wait("process", began, time.time())
        self._look([item for item in items or () if not item.work.dead])
        return items

    def _pass_on(self, item: WorkItem) -> None:
        """Pass on a processed frame, or a chunk's end; with a chain, those that are through it."""
        work = item.work
        if work.chain is not None:
            if item.frame is not None:
                work.waiting.append(item)
            elif not work.dead:
                self._end_chain(work, work.chain)
            while work.waiting and work.ready:
                work.ready -= 1
                self._emit(self._looked_at_again(work.waiting.popleft()))
        elif item.frame is not None:
            self._emit(item)
        if item.frame is None:
            self._processed.put(item)

    @staticmethod
    def _looked_at_again(item: WorkItem) -> WorkItem:
        """The item, after the flicker meter saw what the chain made of it."""
        if item.work.meter is not None and item.frame is not None:
            number = item.work.task.sources[item.position]
            picture = FaceFrame(frame=item.frame.pictures[0], faces=(), selected=())
            item.work.meter.after([number], [picture])
        return item

    @staticmethod
    def _end_chain(work: ChunkWork, chain: ProcessorChain) -> None:
        """Bring a chunk's last frames through the processors."""
        started = time.perf_counter()
        try:
            work.ready += chain.end()
        except Exception as error:  # noqa: BLE001 - a processor may raise anything
            work.fail("processing", error)
        if chain.cover is not None:
            _count(work.result, filled_counts(chain.cover))
        work.result.process_s += time.perf_counter() - started

    def _emit(self, item: WorkItem) -> None:
        """Pass on the output frames that a processed source frame completes."""
        if item.frame is None:
            return
        frames = item.work.emitter.add(item.position, item.frame)
        try:
            while not item.work.dead:
                started = time.perf_counter()
                frame = next(frames, None)
                item.work.result.process_s += time.perf_counter() - started
                if frame is None:
                    return
                with item.work.book.waiting("process"):
                    self._processed.put(WorkItem(item.work, frame))
        except Exception as error:  # noqa: BLE001 - a network may raise anything
            item.work.fail("making frames", error)

    def _look(self, items: list[WorkItem]) -> None:
        """Let the content filter see the frames that it is to see, as they were decoded."""
        if self._content is None:
            return
        for item in items:
            work = item.work
            if item.frame is None or item.position not in work.task.looks:
                continue
            try:
                score = self._content.score(item.frame, self._setup.stream)
            except Exception as error:  # noqa: BLE001 - a network may raise anything
                work.fail("looking at content", error)
            else:
                number = work.task.sources[item.position]
                work.result.content = work.result.content.with_picture(score, number)

    def _process(self, items: list[WorkItem]) -> list[tuple[ChunkWork, _Found]]:
        """Run the face stage on each chunk of a batch, so that counts and errors stay apart."""
        works = {id(item.work): item.work for item in items}
        found: list[tuple[ChunkWork, _Found]] = []
        for work in works.values():
            if work.task.keep:
                continue
            mine = [item for item in items if item.work is work]
            try:
                found += ((work, each) for each in self._process_chunk(work, mine))
            except Exception as error:  # noqa: BLE001 - a processor may raise anything
                work.fail("processing", error)
        return found

    def _process_chunk(self, work: ChunkWork, items: list[WorkItem]) -> Iterator[_Found]:
        """Run the face stage on frames of one chunk, in batches."""
        size = batch_size(len(work.task.request.wanted), self._setup.threads)
        size = len(items) if self._faces.lanes > 1 else size
        for i in range(0, len(items), size):
            batch = items[i : i + size]
            frames = [item.frame for item in batch if item.frame is not None]
            counted = [item.position in work.task.owned for item in batch]
            table = work.task.faces
            rows = None if table is None else [table[item.position] for item in batch]
            watch = self._watch(work, batch)
            counts = self._faces.run(frames, counted, rows, watch=watch, chain=work.chain)
            yield counts, watch if work.chain is None else None
            self._moved += len(frames)

    def _watch(self, work: ChunkWork, batch: list[WorkItem]) -> _LateWatch | None:
        """What measures the flicker of a chunk, for one batch of its frames."""
        if work.meter is None:
            return None
        numbers = [
            work.task.sources[item.position]
            for item in batch
            if item.frame is not None
            for _ in item.frame.pictures
        ]
        return _LateWatch(FlickerWatch(work.meter, tuple(numbers)))


def _content_watch(setup: RenderSetup) -> ContentWatch | None:
    """Load the content filter where it was asked for."""
    if not setup.nsfw_filter:
        return None
    sessions = SessionSettings(provider=setup.faces.provider, threads=setup.threads)
    return ContentWatch(setup.faces.models, sessions)


def queue_frames(setup: RenderSetup) -> int:
    """Return how many frames one queue may hold, by memory; 0 for any number."""
    if setup.memory_bytes == WITHOUT_BOUNDS:
        return 0
    stream = setup.stream
    frame_bytes = max(1, stream.width * stream.height * 3)
    if any(depth in stream.pix_fmt for depth in ("10", "12", "14", "16", "48", "64")):
        frame_bytes *= 2
    budget = setup.memory_bytes or DEFAULT_MEMORY_BYTES
    return max(2, min(_MAX_QUEUED, budget // (frame_bytes * _QUEUES)))


def _count(result: ChunkResult, counts: FaceCounts) -> None:
    """Add what the face stage saw."""
    result.faces += counts.faces
    result.frames_without_face += counts.frames_without_face
    result.faces_filled += counts.faces_filled
    result.frames_filled += counts.frames_filled
    result.detect_s += counts.detect_s
    result.process_s += counts.process_s
