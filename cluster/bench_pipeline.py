"""One worker's pipeline on a clip, against its limits, measured in turns in the same run.

The pipeline runs in this process, told what to do by the dispatch core as a worker is, but without
Ray. Models are loaded and threads started before the clock runs.
Not for: the limits and tables (`farm.bench`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from actors.tasks import chunk_task
from farm.bench.clip import make_clip
from farm.bench.limits import (
    Cost,
    Sessions,
    decode_encode,
    decode_only,
    encode_plainly,
    frames_of,
    measure,
)
from farm.bench.networks import make_networks
from farm.bench.rows import Limits, Row, machine_facts, make_row
from farm.bench.sizes import NetworkSize
from farm.chunk_task import ChunkResult, RenderSetup
from farm.command import Say
from farm.encoder_trial import try_choice
from farm.errors import EncoderError, InputError, ProviderError
from farm.media.encoders import EncoderChoice, choose_encoder
from farm.media.frame import EditableFrame
from farm.media.index import IndexClass, build_index
from farm.media.packets import PacketBlock, PacketReader
from farm.media.plan import plan_frames
from farm.media.reshape import Reshape
from farm.models.session import choose_provider, execution_threads
from farm.models.store import ModelStore
from farm.node.processor import usable_cores
from farm.precision import Precision
from farm.process import FaceJob, FaceStage
from farm.render import ChunkRenderer
from farm.settings import HardwareDecode, ProcessorSettings
from scheduler.chunks import cut_chunks
from scheduler.dispatch import Dispatch
from scheduler.instructions import Instruction, Render
from scheduler.workers import MOST_DECODE_THREADS

_HARDWARE = {"libx264": "h264_nvenc", "libx265": "hevc_nvenc"}
_QUALITY = 18


@dataclass(slots=True, kw_only=True)
class _Way:
    """One way of rendering the clip, and what it took."""

    name: str
    provider: str
    encoder: EncoderChoice
    threads: int
    decode_threads: int
    serial: bool = False
    hardware_decode: HardwareDecode = HardwareDecode.OFF
    frames_stay: bool = True
    costs: list[Cost] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)


class PipelineBench:
    """The clip, its plan and the networks; `run` measures."""

    def __init__(
        self,
        folder: Path,
        *,
        size: NetworkSize,
        clip: Path | None,
        frames: int,
        video_encoder: str,
    ) -> None:
        """Make what is missing in `folder`.

        Raises:
            FarmError: The clip cannot be used.
        """
        self._folder = folder
        self._size = size
        self.networks = make_networks(folder, size)
        self._clip = clip or make_clip(folder / "clip.mp4", frames)
        self._index = build_index(self._clip)
        if self._index.index_class is not IndexClass.TRUSTED:
            raise InputError(f"{self._clip}: cannot be measured by its packets; take another clip")
        self._frames = plan_frames(self._index, None)
        self._chunks = cut_chunks(self._index, self._frames, None)
        self._video_encoder = video_encoder
        self.frames = len(self._frames)
        """Frames of the clip."""
        self._cores = usable_cores()

    def run(self, rounds: int, *, baseline: bool, say: Say) -> tuple[dict[str, Any], list[Row]]:
        """Measure everything `rounds` times; returns the document and its rows."""
        facts = machine_facts()
        ways = [*(self._baseline() if baseline else ()), *self._ways(say)]
        for number in range(rounds):
            for way in ways:
                say(f"round {number + 1} of {rounds}: {way.name}")
                self._measure(way)
        stream, rows = self._index.stream, list(self._rows(ways))
        document = {
            "benchmark": "pipeline",
            "network": self._size.value,
            "clip": f"{stream.width}x{stream.height} {stream.codec}",
            "frames": len(self._frames),
            "chunks": len(self._chunks),
            "rounds": rounds,
            "video_encoder": self._video_encoder,
            "machine": facts,
            "rows": [asdict(row) for row in rows],
        }
        return document, rows

    def _rows(self, ways: list[_Way]) -> Iterator[Row]:
        for way in ways:
            pairs = list(zip(way.costs, way.limits, strict=True))
            yield make_row(way.name, len(self._frames), self._cores, ways[0].costs, pairs)

    def _baseline(self) -> list[_Way]:
        encoder = self._encoder(self._video_encoder, threads=1)
        return [
            _Way(
                name="CPU, one thread, no pipeline",
                provider="cpu",
                encoder=encoder,
                threads=1,
                decode_threads=1,
                serial=True,
            )
        ]

    def _ways(self, say: Say) -> list[_Way]:
        """The pipeline on the CPU, and on a GPU where there is one."""
        encoder = self._encoder(self._video_encoder)
        ways = [self._way("CPU, pipeline", "cpu", encoder)]
        try:
            choose_provider("cuda")
        except ProviderError as error:
            say(f"no rows for CUDA: {error.message}")
            return ways
        ways.append(self._way("CUDA, CPU encoder", "cuda", encoder))
        hardware = self._encoder(_HARDWARE.get(self._video_encoder, self._video_encoder))
        problem = try_choice(hardware, self._index.stream).problem
        if problem is not None:
            say(f"no row for a hardware encoder: {hardware.encoder}: {problem}")
            return ways
        return [*ways, self._way("CUDA, hardware encoder", "cuda", hardware)]

    def _way(self, name: str, provider: str, encoder: EncoderChoice) -> _Way:
        return _Way(
            name=name,
            provider=provider,
            encoder=encoder,
            threads=execution_threads(provider, self._cores),
            decode_threads=min(MOST_DECODE_THREADS, self._cores),
        )

    def _encoder(self, name: str, threads: int | None = None) -> EncoderChoice:
        return choose_encoder(name, _QUALITY, self._index.stream, threads)[0]

    def _measure(self, way: _Way) -> None:
        """Measure a way and, next to it, its limits."""
        job = self._face_job(way.provider)
        stream, threads, frames = self._index.stream, way.decode_threads, len(self._frames)
        sessions = Sessions(
            (self.networks.detector, self.networks.swapper),
            job.context(way.threads).sessions,
        )
        alone = measure(partial(sessions.run, frames))
        decode = measure(lambda: decode_only(self._clip, threads))
        before = measure(lambda: decode_encode(self._clip, threads, way.encoder, stream))
        way.costs.append(self._serial(way, job) if way.serial else self._pipeline(way, job))
        way.limits.append(Limits(decode=decode, decode_encode=before, sessions=alone))

    def _serial(self, way: _Way, job: FaceJob) -> Cost:
        """Decode, process and encode frame after frame."""
        stage = FaceStage(job, way.threads)
        stream = self._index.stream

        def processed() -> Iterator[Any]:
            for frame in frames_of(self._clip, way.decode_threads):
                editable = EditableFrame(frame, color=stream.color)
                stage.run([editable])
                yield editable.video_frame

        return measure(lambda: encode_plainly(processed(), way.encoder, stream))

    def _pipeline(self, way: _Way, job: FaceJob) -> Cost:
        """Render all chunks as one worker does."""
        return self._rendered(way, job)[0]

    def render_on_device(
        self, provider: str, *, frames_stay: bool
    ) -> tuple[Cost, list[ChunkResult]]:
        """Render the clip with NVDEC and NVENC, its frames on the device or through memory.

        Raises:
            FarmError: It cannot be rendered so.
        """
        name = _HARDWARE.get(self._video_encoder, self._video_encoder)
        encoder = self._encoder(name)
        problem = try_choice(encoder, self._index.stream).problem
        if problem is not None:
            raise EncoderError(f"{name}: {problem}")
        way = self._way(name, provider, encoder)
        way.hardware_decode, way.frames_stay = HardwareDecode.CUDA, frames_stay
        return self._rendered(way, self._face_job(provider))

    @property
    def clip(self) -> Path:
        """What is rendered."""
        return self._clip

    def render(
        self, provider: str, *, batch: int, precision: Precision
    ) -> tuple[Cost, list[ChunkResult]]:
        """Render the clip in a given way.

        Args:
            provider: Short name of the execution provider.
            batch: Pictures that go through the networks together on a device.
            precision: That of a device.
        """
        job = self._face_job(provider)
        job = replace(job, batch=batch, settings=replace(job.settings, precision=precision))
        encoder = self._encoder(self._video_encoder)
        return self._rendered(self._way(provider, provider, encoder), job)

    def _rendered(self, way: _Way, job: FaceJob) -> tuple[Cost, list[ChunkResult]]:
        chunk_dir = self._folder / "chunks"
        chunk_dir.mkdir(exist_ok=True)
        setup = RenderSetup(
            stream=self._index.stream,
            output=self._index.stream,
            reshape=Reshape(),
            encoder=way.encoder,
            frame_rate=self._index.stream.frame_rate,
            fingerprint="bench",
            faces=job,
            threads=way.threads,
            decode_threads=way.decode_threads,
            chunk_dir=chunk_dir,
            hardware_decode=way.hardware_decode,
            frames_stay=way.frames_stay,
        )
        renderer = ChunkRenderer(setup)
        results: list[ChunkResult] = []
        try:
            return measure(lambda: results.extend(self._render(renderer))), results
        finally:
            renderer.close()

    def _render(self, renderer: ChunkRenderer) -> list[ChunkResult]:
        """Give the renderer chunk after chunk, as many at a time as a worker has in hand."""
        dispatch = Dispatch(self._chunks, np.flatnonzero(self._index.keyframes).tolist())
        waiting: deque[tuple[int, Future[ChunkResult]]] = deque()
        results: list[ChunkResult] = []
        with PacketReader(self._index) as reader:
            self._carry_out(dispatch.worker_up(0), renderer, reader, waiting)
            while waiting:
                token, future = waiting.popleft()
                results.append(future.result())
                self._carry_out(dispatch.chunk_done(token), renderer, reader, waiting)
        if not sum(result.faces for result in results):
            raise InputError(f"{self._clip}: no frame has anything warm that stands for a face")
        return results

    def _carry_out(
        self,
        instructions: list[Instruction],
        renderer: ChunkRenderer,
        reader: PacketReader,
        waiting: deque[tuple[int, Future[ChunkResult]]],
    ) -> None:
        for order in instructions:
            assert isinstance(order, Render)
            chunk = order.chunk
            begin = order.packet_start
            if order.after is not None:
                # The decoder stands behind the chunk before, as in a worker.
                begin = min(order.after.packet_stop, chunk.packet_stop - 1)
            task = chunk_task(
                chunk,
                self._frames,
                packet_start=order.packet_start,
                shipped_from=begin,
                proven=order.proven,
            )

            def blocks(first: int, limit: int = chunk.packet_limit) -> Iterator[PacketBlock]:
                return (reader.read(number) for number in reader.blocks_of(first, limit))

            waiting.append((order.token, renderer.submit(task, blocks)))

    def _face_job(self, provider: str) -> FaceJob:
        """A job that swaps every face."""
        store = ModelStore(
            models_dir=self._folder,
            overrides=self.networks.overrides(),
            allow_unverified=True,
            offline=True,
        )
        stream = self._index.stream
        return FaceJob(
            settings=ProcessorSettings(names=("face_swapper",), many_faces=True, detector="scrfd"),
            models=store.for_worker(),
            provider=provider,
            frame_size=(stream.width, stream.height),
            source_embedding=tuple([1.0] + [0.0] * 511),
        )
