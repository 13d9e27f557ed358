"""The chunk renderer: decode, faces and encode as a pipeline that runs on over chunk borders.

A few threads and two bounded queues; the work in them is C code that lets go of the interpreter
lock. On a device two threads work on faces: one prepares and pastes while the other waits for it. A
chunk's encoder is flushed while the next chunk is encoded, so that no core waits at the border.
Not for: deciding what is rendered (`scheduler`) or asked for again (`actors`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2

from farm.chain import ProcessorChain
from farm.chunk_task import ChunkResult, ChunkTask, RenderSetup, chunk_error
from farm.content import ContentWatch
from farm.emit import FrameEmitter
from farm.errors import ChunkError
from farm.faces.flicker import FlickerMeter, FlickerWatch, ReplacedFrame
from farm.files import Files, LocalFiles
from farm.frames import Blocks, FrameSource, as_editable
from farm.media.chunk_file import EncodedPacket
from farm.media.encode import ChunkEncoder, chunk_header
from farm.media.encoder_names import hardware_family
from farm.media.frame import EditableFrame
from farm.media.packets import PacketBlock
from farm.media.reshape import Scaler
from farm.memory import SpareMemory
from farm.meters import ProcessMeter, device_load
from farm.models.session import SessionSettings, batch_size
from farm.node.examine import GPU_PROVIDERS
from farm.overheard import Overheard
from farm.process import FaceCounts, FaceStage
from farm.processors.registry import frame_maker
from farm.spans import SpanBook
from farm.store_chunk import chunk_info, store_chunk
from farm.turns import Turns

DEFAULT_MEMORY_BYTES = 1 << 30
_MAX_QUEUED = 32
_QUEUES = 3
_PNG_COMPRESSION = 3


@dataclass(slots=True, kw_only=True)
class _Work:
    """A chunk on its way through the pipeline."""

    task: ChunkTask
    blocks: Blocks
    future: Future[ChunkResult]
    result: ChunkResult
    emitter: FrameEmitter
    chain: ProcessorChain | None
    waiting: deque[_Item] = field(default_factory=deque)
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

    def fail(self, error: BaseException) -> None:
        """Report an error, the first one only."""
        with suppress(InvalidStateError):  # Has failed before, or nobody wants it any more.
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Item:
    """A frame of a chunk, or its end where there is no frame."""

    work: _Work
    frame: EditableFrame | None
    position: int = 0
    """Of a decoded frame, among the chunk's source frames."""


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
        self._files = files or LocalFiles()
        self._closed = False
        self._meter = ProcessMeter()
        self._spare = SpareMemory()
        self._overheard = Overheard()
        self._overheard.start()
        self.activity = 0
        """Grows with every frame that is decoded, processed or encoded."""
        # OpenCV would take every core in each worker.
        cv2.setNumThreads(setup.decode_threads)
        self._faces = FaceStage(setup.faces, setup.threads)
        self._content = _content_watch(setup)
        self._maker = frame_maker(setup.faces.settings.names)
        if self._maker is not None:
            self._maker.start(setup.faces.context(setup.threads))
        size = setup.reshape.size
        self._scaler = None if size is None else Scaler(size)
        room = queue_frames(setup)
        self._batch = min(room, self._faces.batch)
        self._turns = Turns()
        self._lanes_left = self._faces.lanes
        self._tasks: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._decoded: queue.Queue[_Item | None] = queue.Queue(room)
        self._processed: queue.Queue[_Item | None] = queue.Queue(room)
        self._ended: queue.Queue[_Work | None] = queue.Queue()
        lanes = [self._face_loop] * self._faces.lanes
        loops = (self._decode_loop, *lanes, self._encode_loop, self._finish_loop)
        self._encoder: ChunkEncoder | None = None
        """That of the chunk which is encoded, or was last."""
        self._threads = [
            threading.Thread(target=loop, name=loop.__name__, daemon=True) for loop in loops
        ]
        for thread in self._threads:
            thread.start()

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
        work = _Work(
            task=task,
            blocks=blocks,
            future=future,
            result=result,
            emitter=emitter,
            chain=self._faces.chain(),
        )
        owned = task.owned
        if self._faces.replaces and owned and work.chain is None:
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
        self._overheard.stop()

    def _decode_loop(self) -> None:
        edits = not self._faces.idle or self._maker is not None
        source = FrameSource(self._setup, edits=edits)
        while (work := self._tasks.get()) is not None:
            try:
                self._decode(source, work)
            except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
                source.close()
                work.fail(_chunk_error(work, "decoding", error))
        self._decoded.put(None)

    def _decode(self, source: FrameSource, work: _Work) -> None:
        """Decode one chunk into the first queue; time spent waiting there is not counted."""
        with work.book.working("decode"):
            for position, frame in enumerate(source.frames(work.task, work.fetched, work.result)):
                if work.dead:
                    source.close()
                    return
                self.activity += 1
                with work.book.waiting("decode"):
                    self._decoded.put(_Item(work, frame, position))
            self._decoded.put(_Item(work, None))

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

    def _take(self) -> list[_Item] | None:
        """Take frames, the content filter having seen those that it is to see."""
        began = time.time()
        items = _take(self._decoded, self._batch, full=self._faces.lanes > 1)
        if items:
            items[0].work.book.note_wait("process", began, time.time())
        self._look([item for item in items or () if not item.work.dead])
        return items

    def _pass_on(self, item: _Item) -> None:
        """Pass on a processed frame, or a chunk's end; with a chain, those that are through it."""
        work = item.work
        if work.chain is not None:
            if item.frame is not None:
                work.waiting.append(item)
            elif not work.dead:
                self._end_chain(work, work.chain)
            while work.waiting and work.ready:
                work.ready -= 1
                self._emit(work.waiting.popleft())
        elif item.frame is not None:
            self._emit(item)
        if item.frame is None:
            self._processed.put(item)

    @staticmethod
    def _end_chain(work: _Work, chain: ProcessorChain) -> None:
        """Bring a chunk's last frames through the processors."""
        started = time.perf_counter()
        try:
            work.ready += chain.end()
        except Exception as error:  # noqa: BLE001 - a processor may raise anything
            work.fail(_chunk_error(work, "processing", error))
        work.result.process_s += time.perf_counter() - started

    def _emit(self, item: _Item) -> None:
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
                    self._processed.put(_Item(item.work, frame))
        except Exception as error:  # noqa: BLE001 - a network may raise anything
            item.work.fail(_chunk_error(item.work, "making frames", error))

    def _look(self, items: list[_Item]) -> None:
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
                work.fail(_chunk_error(work, "looking at content", error))
            else:
                number = work.task.sources[item.position]
                work.result.content = work.result.content.with_picture(score, number)

    def _process(self, items: list[_Item]) -> list[tuple[_Work, _Found]]:
        """Run the face stage on each chunk of a batch, so that counts and errors stay apart."""
        works = {id(item.work): item.work for item in items}
        found: list[tuple[_Work, _Found]] = []
        for work in works.values():
            if work.task.keep:
                continue
            mine = [item for item in items if item.work is work]
            try:
                found += ((work, each) for each in self._process_chunk(work, mine))
            except Exception as error:  # noqa: BLE001 - a processor may raise anything
                work.fail(_chunk_error(work, "processing", error))
        return found

    def _process_chunk(self, work: _Work, items: list[_Item]) -> Iterator[_Found]:
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
            yield counts, watch
            self.activity += len(frames)

    def _watch(self, work: _Work, batch: list[_Item]) -> _LateWatch | None:
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

    def _encode_loop(self) -> None:
        while True:
            began = time.time()
            item = self._processed.get()
            if item is None:
                break
            work, frame = item.work, item.frame
            work.book.note_wait("encode", began, time.time())
            if work.dead:
                continue
            if frame is not None:
                self._timed(work, partial(self._encode, work, frame))
            else:
                self._ended.join()  # One chunk at a time holds a second encoder's memory.
                self._ended.put(work)
        self._ended.put(None)

    def _finish_loop(self) -> None:
        while (work := self._ended.get()) is not None:
            self._timed(work, partial(self._finish, work))
            work.encoder = None
            self._spare.give_back()
            if not work.dead:
                with suppress(InvalidStateError):  # Nobody wants it any more.
                    work.future.set_result(work.result)
            self._ended.task_done()

    def _timed(self, work: _Work, encode: Callable[[], None]) -> None:
        """Do a part of encoding; its time is added up, its error is the chunk's."""
        started, began = time.perf_counter(), time.time()
        try:
            encode()
        except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
            work.fail(_chunk_error(work, "encoding", error))
        finally:
            work.result.encode_s += time.perf_counter() - started
            work.book.note("encode", began, time.time())

    def _encode(self, work: _Work, frame: EditableFrame) -> None:
        if work.encoder is None:
            self._make_room()
            work.encoder = self._encoder = ChunkEncoder(
                self._setup.encoder, self._setup.output, self._setup.frame_rate
            )
        if self._setup.frames_dir is not None:
            self._keep(self._setup.frames_dir, work.task, work.result.frames, frame)
        picture = frame.video_frame
        if self._scaler is not None:
            picture = self._scaler.scale(picture)
        work.packets += work.encoder.encode(picture, work.result.frames)
        work.result.frames += 1
        work.result.touched += frame.touched
        self.activity += 1

    def _keep(self, folder: Path, task: ChunkTask, position: int, frame: EditableFrame) -> None:
        """Write a processed frame as PNG, named by its number and pts."""
        path = folder / f"{task.frame_start + position:08d}_{task.pts[position]}.png"
        compression = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION]
        _, data = cv2.imencode(".png", frame.to_bgr(), compression)
        try:
            self._files.write(path, [data.tobytes()])
        except OSError as error:
            raise ChunkError(
                f"{path}: cannot be written ({error.strerror or error}); free space there"
            ) from error

    def _make_room(self) -> None:
        """See that no session of a hardware encoder is held beside the next one; there are few."""
        if hardware_family(self._setup.encoder.encoder) is None:
            return
        self._ended.join()
        if self._encoder is not None:
            self._encoder.close()  # It may be that of a chunk that failed.

    def _finish(self, work: _Work) -> None:
        """Flush the encoder and write the chunk file."""
        if work.encoder is None:
            raise ChunkError(f"chunk {work.task.chunk_index:05d}: not a single frame decodes")
        work.packets += work.encoder.flush()
        result = work.result
        if work.meter is not None:
            result.flicker = work.meter.result()
        result.notes += self._overheard.take()
        fields = {
            "chunk_index": work.task.chunk_index,
            "frame_start": work.task.frame_start,
            "frame_count": result.frames,
            "fingerprint": self._setup.fingerprint,
            "info": chunk_info(self._setup, result),
        }
        header = chunk_header(
            work.encoder, self._setup.encoder, self._setup.output, work.packets, fields
        )
        with work.book.working("store"):
            result.bytes, result.sha256 = store_chunk(
                self._setup, header, work.packets, self._files
            )
        work.packets = []
        result.spans = work.book.spans
        result.cpu_s, result.peak_memory_bytes = self._meter.take()
        if self._setup.faces.provider in GPU_PROVIDERS:
            result.load = device_load()


def _content_watch(setup: RenderSetup) -> ContentWatch | None:
    """Load the content filter where it was asked for."""
    if not setup.nsfw_filter:
        return None
    sessions = SessionSettings(provider=setup.faces.provider, threads=setup.threads)
    return ContentWatch(setup.faces.models, sessions)


def queue_frames(setup: RenderSetup) -> int:
    """Return how many frames one queue may hold, by memory."""
    stream = setup.stream
    frame_bytes = max(1, stream.width * stream.height * 3)
    if any(depth in stream.pix_fmt for depth in ("10", "12", "14", "16", "48", "64")):
        frame_bytes *= 2
    budget = setup.memory_bytes or DEFAULT_MEMORY_BYTES
    return max(2, min(_MAX_QUEUED, budget // (frame_bytes * _QUEUES)))


def _take(source: queue.Queue[_Item | None], most: int, *, full: bool) -> list[_Item] | None:
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


def _count(result: ChunkResult, counts: FaceCounts) -> None:
    """Add what the face stage saw."""
    result.faces += counts.faces
    result.frames_without_face += counts.frames_without_face
    result.detect_s += counts.detect_s
    result.process_s += counts.process_s


def _chunk_error(work: _Work, stage: str, error: Exception) -> Exception:
    """Name the chunk and stage of an error that does not do so itself."""
    return chunk_error(work.task.chunk_index, stage, error)
