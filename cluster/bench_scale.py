"""How well many workers share the work, when all that a frame costs is waiting for a device.

Everything but the device is real: Ray with logical GPUs, the pool, the dispatch core, packets
through the object store, chunk files, the ledger. Not for: tables and plots (`farm.bench.scale`).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import ray

from actors.nodes import store_bytes
from actors.pool import WorkerPool
from actors.shipping import PacketShipper
from cluster.chunk_run import SPARE_STORE_BYTES, STORE_SHARE
from cluster.runtime import RayRuntime
from farm.bench.rows import machine_facts
from farm.bench.scale import ScaleRow, tiny_clip
from farm.bench.waiting import WAIT_NAME, WAIT_VARIABLE
from farm.chunk_task import ChunkResult, RenderSetup
from farm.command import Say
from farm.errors import ClusterError
from farm.faces.casting import CastRows, FrameFaces
from farm.job_folder import accept_attempt
from farm.media.encoders import choose_encoder
from farm.media.index import build_index
from farm.media.packets import PacketReader
from farm.media.plan import plan_frames
from farm.media.reshape import Reshape
from farm.memory import family_bytes
from farm.models.store import ModelStore
from farm.process import FaceJob
from farm.settings import ProcessorSettings
from scheduler.chunks import Chunk, cut_chunks
from scheduler.dispatch import Dispatch
from scheduler.ledger import Ledger
from scheduler.ledger_records import StoredChunk
from scheduler.workers import WorkerPlan

_UP_S = 1800.0
_QUALITY = 18


class ScaleBench:
    """A clip of tiny pictures and its chunks; `run` renders some of them with more workers each."""

    def __init__(
        self, folder: Path, *, most_workers: int, chunks: int, chunk_frames: int, frame_ms: float
    ) -> None:
        """Make the clip.

        Args:
            folder: For clip and chunks.
            most_workers: The largest number of workers that will be asked for.
            chunks: For each worker.
            chunk_frames: Of each chunk.
            frame_ms: How long a frame waits.
        """
        self._folder = folder
        self._most, self._per_worker = most_workers, chunks
        self._chunk_frames, self._frame_ms = chunk_frames, frame_ms
        frames = most_workers * chunks * chunk_frames
        self._index = build_index(tiny_clip(folder / "tiny.mp4", frames, chunk_frames))
        self._frames = plan_frames(self._index, None)
        length_s = chunk_frames / float(self._index.stream.frame_rate or 25)
        self._chunks = cut_chunks(self._index, self._frames, length_s)

    def run(self, counts: Sequence[int], say: Say) -> tuple[dict[str, Any], list[ScaleRow]]:
        """Render with each number of workers; returns the document and its rows."""
        facts = machine_facts()
        rows = [self._counted(count, say) for count in counts]
        document = {
            "benchmark": "scale",
            "frame_ms": self._frame_ms,
            "chunk_frames": self._chunk_frames,
            "chunks_per_worker": self._per_worker,
            "machine": facts,
            "rows": [
                asdict(row)
                | {"fps": row.fps, "efficiency": row.efficiency, "overhead_ms": row.overhead_ms}
                for row in rows
            ],
        }
        return document, rows

    def _counted(self, workers: int, say: Say) -> ScaleRow:
        """Render with a number of workers, on a Ray of their own."""
        say(f"{workers} workers: starting")
        os.environ[WAIT_VARIABLE] = str(self._frame_ms / 1000)
        try:
            with (
                tempfile.TemporaryDirectory(dir=self._folder) as folder,
                RayRuntime(None, workers, gpus=workers),
            ):
                row = self._row(workers, Path(folder))
        finally:
            del os.environ[WAIT_VARIABLE]
        say(f"{workers} workers: {row.efficiency:.1%}")
        return row

    def _row(self, workers: int, folder: Path) -> ScaleRow:
        chunks = self._chunks[: workers * self._per_worker]
        plan = WorkerPlan.alike(workers, gpu_share=1.0)
        began = time.monotonic()
        with WorkerPool(self._setup(folder), plan, _Nobody()) as pool:
            if not pool.all_up(_UP_S):
                raise ClusterError(f"{workers} workers did not start in {_UP_S:.0f} s")
            up_s, cpu_s, began = time.monotonic() - began, time.process_time(), time.monotonic()
            self._render(pool, chunks, folder)
            wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
            memory_bytes = family_bytes()
        frames = sum(chunk.frame_count for chunk in chunks)
        return ScaleRow(
            name=f"{workers} worker{'' if workers == 1 else 's'}",
            workers=workers,
            chunks=len(chunks),
            frames=frames,
            wall_s=wall_s,
            ideal_s=frames * self._frame_ms / 1000 / workers,
            driver_cpu_s=cpu_s,
            memory_bytes=memory_bytes,
            up_s=up_s,
        )

    def _render(self, pool: WorkerPool, chunks: Sequence[Chunk], folder: Path) -> None:
        """Do what a job does with its chunks, up to the last one accepted."""
        keyframes = np.flatnonzero(self._index.keyframes).tolist()
        with PacketReader(self._index) as reader, Ledger(folder) as ledger:

            def done(_worker: int, result: ChunkResult) -> None:
                assert result.token is not None
                accept_attempt(folder, result.chunk_index, result.token)
                ledger.store(
                    StoredChunk(
                        chunk_index=result.chunk_index,
                        fingerprint="bench",
                        token=result.token,
                        sha256=result.sha256,
                    )
                )

            dispatch = Dispatch(chunks, keyframes, workers=len(pool.seats), run=ledger.run)
            shipper = PacketShipper(
                reader, ray.put, SPARE_STORE_BYTES, store_bytes() // STORE_SHARE
            )
            pool.run(dispatch, self._frames, shipper, done, note=ledger.note)

    def _setup(self, folder: Path) -> RenderSetup:
        stream = self._index.stream
        return RenderSetup(
            stream=stream,
            output=stream,
            reshape=Reshape(),
            encoder=choose_encoder("libx264", _QUALITY, stream, 1)[0],
            frame_rate=stream.frame_rate,
            fingerprint="bench",
            faces=FaceJob(
                settings=ProcessorSettings(names=(WAIT_NAME,)),
                models=ModelStore(models_dir=self._folder, offline=True),
                provider="cpu",
                frame_size=(stream.width, stream.height),
                reads_table=True,
            ),
            threads=1,
            decode_threads=1,
            chunk_dir=folder,
        )


class _Nobody(CastRows):
    """A face table without faces, so that nobody looks for any."""

    def __init__(self) -> None:
        """There is nothing to take."""

    def of(self, frames: Iterable[int]) -> tuple[FrameFaces, ...]:
        """An empty row for each frame."""
        return tuple(FrameFaces(faces=(), selected=()) for _ in frames)
