"""The end of a worker's pipeline: frames to packets, packets to a chunk file.

A chunk's encoder is flushed while the next chunk is encoded, so that no core waits at the border.
Not for: what comes before (`farm.render`) or the layout of the file (`farm.media.chunk_file`).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2

from farm.chunk_task import ChunkTask, RenderSetup
from farm.chunk_work import ChunkWork, WorkItem
from farm.errors import ChunkError, EncoderError
from farm.files import Files
from farm.media.device_frame import DeviceFrame
from farm.media.encode import ChunkEncoder, chunk_header
from farm.media.encoder_names import hardware_family
from farm.media.frame import EditableFrame
from farm.media.frame_device import FrameDevice
from farm.media.reshape import Scaler
from farm.memory import SpareMemory
from farm.meters import ProcessMeter, device_load
from farm.node.examine import GPU_PROVIDERS
from farm.overheard import Overheard
from farm.store_chunk import chunk_info, store_chunk

_PNG_COMPRESSION = 3


class EncodeStage:
    """Encodes and stores chunk after chunk; its two loops run on a thread each."""

    def __init__(
        self, setup: RenderSetup, files: Files, processed: queue.Queue[WorkItem | None]
    ) -> None:
        """Take where frames come from, a chunk's end behind its last; None ends the loops.

        Args:
            setup: The job.
            files: Who puts finished files in place.
            processed: Output frames, in order.
        """
        self._setup = setup
        self._files = files
        self._processed = processed
        self._ended: queue.Queue[ChunkWork | None] = queue.Queue()
        self._encoder: ChunkEncoder | None = None
        """That of the chunk which is encoded, or was last."""
        size = setup.reshape.size
        self._scaler = None if size is None else Scaler(size)
        self._meter = ProcessMeter()
        self._spare = SpareMemory()
        self._overheard = Overheard()
        self.encoded = 0
        """Frames, of all chunks."""

    def start(self) -> None:
        """Listen to what libraries say."""
        self._overheard.start()

    def close(self) -> None:
        """Listen no more; the loops have ended."""
        self._overheard.stop()

    def encode_loop(self) -> None:
        """Encode frames until None comes."""
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

    def finish_loop(self) -> None:
        """Finish chunks whose last frame is in their encoder."""
        while (work := self._ended.get()) is not None:
            self._timed(work, partial(self._finish, work))
            work.encoder = None
            self._spare.give_back()
            work.succeed()
            self._ended.task_done()

    def _timed(self, work: ChunkWork, encode: Callable[[], None]) -> None:
        """Do a part of encoding; its time is added up, its error is the chunk's."""
        started, began = time.perf_counter(), time.time()
        try:
            encode()
        except Exception as error:  # noqa: BLE001 - whatever breaks belongs to this chunk
            work.fail("encoding", _without_device(work, error))
        finally:
            work.result.encode_s += time.perf_counter() - started
            work.book.note("encode", began, time.time())

    def _encode(self, work: ChunkWork, frame: EditableFrame) -> None:
        if work.encoder is None:
            self._make_room()
            work.encoder = self._encoder = ChunkEncoder(
                self._setup.encoder, self._setup.output, self._setup.frame_rate, _stays(frame)
            )
        if self._setup.frames_dir is not None:
            self._keep(self._setup.frames_dir, work.task, work.result.frames, frame)
        if work.encoder.stays is None:
            picture = frame.video_frame
        elif isinstance(frame, DeviceFrame):
            picture = frame.on_device()
            work.result.on_device += 1
        else:
            raise work.encoder.stays.give_up("a frame in memory came behind frames that stay")
        if self._scaler is not None:
            picture = self._scaler.scale(picture)
        work.packets += work.encoder.encode(picture, work.result.frames)
        work.result.frames += 1
        work.result.touched += frame.touched
        self.encoded += 1

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

    def _finish(self, work: ChunkWork) -> None:
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


def _stays(frame: EditableFrame) -> FrameDevice | None:
    """Where a chunk that begins with this frame stays; None for memory."""
    return frame.stays if isinstance(frame, DeviceFrame) and frame.stays.alive else None


def _without_device(work: ChunkWork, error: Exception) -> Exception:
    """The error; where an encoder broke that takes frames on the device, the device's."""
    stays = None if work.encoder is None else work.encoder.stays
    if stays is None or not isinstance(error, EncoderError):
        return error
    return stays.give_up(error.message)
