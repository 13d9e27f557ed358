"""The Ray actor that renders chunks.

A plain class: tests call it, `actors.pool` makes it remote. It fetches packet blocks from the
object store when the decoder wants them. Not for: deciding what to render (`scheduler.dispatch`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import psutil
import ray

from actors.keeper import SentFiles
from actors.metrics import WorkerMetrics
from farm.analyse import ChunkAnalyser
from farm.chunk_task import ChunkResult, ChunkTask, RenderSetup
from farm.errors import ChunkError
from farm.files import sees_folder
from farm.media.decode import DecoderClosedError, FalseKeyframeError, NeedEarlierError
from farm.media.device_runs import DeviceError
from farm.media.packets import PacketBlock
from farm.models.shipped import shipped_store
from farm.render import ChunkRenderer
from farm.store_chunk import encode_again, has_earlier

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Outcome(StrEnum):
    """How an attempt ended that did not raise."""

    DONE = "done"
    DECODER_CLOSED = "decoder_closed"
    FALSE_KEYFRAME = "false_keyframe"
    FRAMES_MISSING = "frames_missing"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a worker says of an attempt."""

    outcome: Outcome
    result: ChunkResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What a worker is."""

    pid: int
    node: str
    node_id: str
    """Ray's number of it; empty outside of Ray."""
    provider: str
    threads: int
    devices: str = ""
    """GPUs that it sees, as CUDA_VISIBLE_DEVICES says it."""
    sends_files: bool = False
    """Whether it does not see the job's folder and sends what it makes."""
    why_in_memory: str = ""
    """Why its frames go through memory; empty where they may stay on its device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """An attempt as it goes to a worker."""

    ticket: int
    """Counts the worker's attempts from 0: they enter the pipeline in this order."""
    token: int
    """Names the attempt."""
    task: ChunkTask
    starts: tuple[int, ...]
    """First packet of each block."""
    refs: tuple[Any, ...]
    """Object references of the blocks."""


class ChunkWorker:
    """One worker: a pipeline that takes several chunks at once, in the order of their tickets."""

    def __init__(
        self,
        setup: RenderSetup,
        devices: str | None = None,
        keeper: Any = None,
        get: Callable[[Any], PacketBlock] = ray.get,
    ) -> None:
        """Take the job; `start` does the work, so that its errors come back as they are.

        Args:
            setup: The job, with the provider and threads of this worker.
            devices: GPUs that it may see; None leaves it at what Ray has set.
            keeper: Takes files where this machine does not see the job's folder; None where all do.
            get: Fetches a block by its reference.
        """
        self._setup = setup
        self._devices = devices
        self._sent = None
        if keeper is not None and not sees_folder(setup.chunk_dir, setup.folder_mark):
            self._sent = SentFiles(keeper)
        self._get = get
        self._renderer: ChunkRenderer | ChunkAnalyser | None = None
        self._metrics: WorkerMetrics | None = None
        self._turn = threading.Condition()
        self._next_ticket = 0
        self._fetched = 0
        self._again = 0
        """Frames that were encoded again."""
        self._dropped: set[int] = set()
        self._futures: dict[int, Future[ChunkResult]] = {}

    def start(self) -> WorkerFacts:
        """Load models and say what this worker is.

        Raises:
            SetupError: A model is missing or a provider does not load.
        """
        if self._devices is not None:
            # CUDA reads it when it is used first, which is later.
            os.environ[_VISIBLE] = self._devices
        if self._renderer is None:
            setup = _with_sent_models(self._setup)
            if setup.analyse:
                self._renderer = ChunkAnalyser(setup)
            else:
                self._renderer = ChunkRenderer(setup, self._sent)
        if ray.is_initialized() and self._metrics is None:
            self._metrics = WorkerMetrics(self._setup.faces.provider)
        return WorkerFacts(
            pid=os.getpid(),
            node=os.uname().nodename,
            node_id=ray.get_runtime_context().get_node_id() if ray.is_initialized() else "",
            provider=self._setup.faces.provider,
            threads=self._setup.threads,
            devices=os.environ.get(_VISIBLE, ""),
            sends_files=self._sent is not None,
            why_in_memory=self._renderer.why_in_memory,
        )

    def close(self) -> None:
        """Finish what is in hand and end the threads."""
        if self._renderer is not None:
            self._renderer.close()

    def activity(self) -> int:
        """Return a number that grows with everything that is done here."""
        return self._fetched + self._again + (self._renderer.activity if self._renderer else 0)

    def drop(self, token: int) -> None:
        """Give an attempt up, whether it has begun or not."""
        with self._turn:
            self._dropped.add(token)
            future = self._futures.get(token)
        if future is not None:
            future.cancel()

    def memory_bytes(self) -> int:
        """Return the proportional set size of this process."""
        return int(psutil.Process().memory_full_info().pss)

    def render(self, shipment: Shipment) -> Answer:
        """Render a chunk and store it.

        Raises:
            FarmError: The attempt failed.
        """
        try:
            result = self._encode_again(shipment) or self._rendered(shipment)
            if self._sent is not None:
                self._sent.settle()
            if self._metrics is not None:
                self._metrics.chunk_done(result)
            return Answer(outcome=Outcome.DONE, result=result)
        except DecoderClosedError:
            return Answer(outcome=Outcome.DECODER_CLOSED)
        except FalseKeyframeError:
            return Answer(outcome=Outcome.FALSE_KEYFRAME)
        except NeedEarlierError:
            return Answer(outcome=Outcome.FRAMES_MISSING)
        except CancelledError:
            return Answer(outcome=Outcome.DROPPED)
        finally:
            self._futures.pop(shipment.token, None)

    def _rendered(self, shipment: Shipment) -> ChunkResult:
        """Render a chunk; once more where a device failed, in whose place another way is then."""
        try:
            return self._submit(shipment).result()
        except DeviceError:
            return self._submit(shipment).result()

    def _encode_again(self, shipment: Shipment) -> ChunkResult | None:
        """Make the chunk of what an earlier encoder has left, past the pipeline."""
        if not has_earlier(self._setup, shipment.task):
            return None
        with self._turn:
            self._pass(shipment.ticket)
        return encode_again(self._setup, shipment.task, self._sent, self._count_again)

    def _count_again(self) -> None:
        self._again += 1

    def _submit(self, shipment: Shipment) -> Future[ChunkResult]:
        """Enter the pipeline when the attempts before this one have."""
        with self._turn:
            self._pass(shipment.ticket)
            if self._renderer is None:
                raise ChunkError("the worker was asked for a chunk before it was started")
            future = self._renderer.submit(
                shipment.task, lambda start: self._blocks(shipment.starts, shipment.refs, start)
            )
            self._futures[shipment.token] = future
            if shipment.token in self._dropped:
                future.cancel()
            return future

    def _pass(self, ticket: int) -> None:
        """Wait for the attempts before this one; one that has passed goes on at once."""
        self._turn.wait_for(lambda: self._next_ticket >= ticket)
        if self._next_ticket == ticket:
            self._next_ticket += 1
            self._turn.notify_all()

    def _blocks(
        self, starts: Sequence[int], refs: Sequence[Any], first: int
    ) -> Iterator[PacketBlock]:
        """Yield the blocks that hold packets from `first` on, fetched one by one."""
        for i, ref in enumerate(refs):
            if i + 1 == len(refs) or starts[i + 1] > first:
                block = self._get(ref)
                self._fetched += 1
                yield block


def _with_sent_models(setup: RenderSetup) -> RenderSetup:
    """Return the job with the models that this node was sent in the place of the driver's."""
    if setup.models is None:
        return setup
    return replace(setup, faces=replace(setup.faces, models=shipped_store(setup.models)))
