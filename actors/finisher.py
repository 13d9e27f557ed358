"""The finisher: the final task, as an actor on the node of the job folder.

Not for: how chunks are joined (`farm.media.final`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import EncoderError, FarmError, JobError
from farm.media.final import FinishReport, FinishRequest, finish
from farm.media.final_encode import WholeOrder
from farm.media.final_feed import WholeEncoding
from farm.settings import EncodeOn

_POLL_S = 0.5
_END_S = 10.0
_CALLS = 3
"""Calls of the actor at once: the task, a question, and the order to end."""


class Finisher:
    """Runs the final task and says how far its encoding is."""

    def __init__(self, order: WholeOrder | None) -> None:
        """Begin to encode the whole, where there is an order; chunks follow."""
        self._encoded = 0
        self._whole = None if order is None else WholeEncoding(order, self._progress)

    def pid(self) -> int:
        """Return the number of this process."""
        return os.getpid()

    def feed(self, chunk_index: int, path: Path) -> None:
        """A chunk is done: encode it when those before it are."""
        if self._whole is not None:
            self._whole.feed(chunk_index, path)

    def finish(self, request: FinishRequest) -> FinishReport:
        """Make the output; see `farm.media.final.finish`."""
        return finish(request, self._progress, self._whole)

    def stop(self) -> None:
        """Encode no further chunk."""
        if self._whole is not None:
            self._whole.stop()

    def end_children(self) -> None:
        """Kill what this process has started: Ray would leave it alive."""
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=_END_S)

    def encoded_frames(self) -> int:
        """Return how many frames the final encoder has taken."""
        return self._encoded

    def _progress(self, done: int, _of: int) -> None:
        self._encoded = done


class RemoteFinisher:
    """The final task of a job on one node. Use as a context manager: leaving it ends the task.

    It takes no CPU slot: workers hold them all, and a task that waits for one would wait for ever.
    """

    def __init__(self, request: FinishRequest, node: str | None) -> None:
        """Take what is to be done.

        Args:
            request: What to do.
            node: Id of the node that does it, None for this one.
        """
        self._request = request
        self._node = node
        self._actor: Any = None
        self._home = ""
        self._process: list[psutil.Process] = []
        """That of the actor, where it is on this node."""

    def __enter__(self) -> RemoteFinisher:
        """Begin to encode the whole, where the final task does that."""
        if self._request.encode_on is EncodeOn.FINAL:
            self._start(self._request.whole_order)
        return self

    def __exit__(self, *_: object) -> None:
        if self._actor is not None:
            self._find_process()
            with suppress(RayError):
                ray.get(self._actor.end_children.remote(), timeout=_END_S)
            ray.kill(self._actor)
            for left in psutil.wait_procs(self._process, timeout=_END_S)[1]:
                with suppress(psutil.NoSuchProcess):
                    left.kill()
        self._request.temporary.unlink(missing_ok=True)

    def chunk_done(self, chunk_index: int) -> None:
        """A chunk is there: a final encoder that has begun takes it."""
        if self._actor is not None:
            path = self._request.chunk_paths[chunk_index]
            self._actor.feed.remote(chunk_index, path)

    def run(self, progress: Callable[[int], None]) -> FinishReport:
        """Make the output when all chunks are done, and wait for it.

        Args:
            progress: Called with the frames that the final encoder has taken so far.

        Raises:
            FarmError: As `farm.media.final.finish`.
            EncoderError: The process died while a hardware encoder worked in it.
        """
        if self._actor is None:
            self._start(None)
        try:
            answer = self._actor.finish.remote(self._request)
            while not ray.wait([answer], timeout=_POLL_S)[0]:
                progress(ray.get(self._actor.encoded_frames.remote()))
            report: FinishReport = ray.get(answer)
        except RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, FarmError):
                raise cause from error
            raise JobError(f"the final task failed ({error}); run the command again") from error
        except RayActorError as error:
            raise self._died() from error
        return report

    def _died(self) -> FarmError:
        """What is made of the death of the actor's process: drivers of devices bring them down."""
        choice = self._request.encoder
        if self._request.encode_on is EncodeOn.FINAL and choice.family is not None:
            return EncoderError(
                f"the final task's process died while {choice.encoder} encoded; "
                "choose another --video-encoder"
            )
        return JobError("the final task's process died; run the command again")

    def _start(self, order: WholeOrder | None) -> None:
        self._home = ray.get_runtime_context().get_node_id()
        node = self._node or self._home
        remote: Any = ray.remote(Finisher)
        self._actor = remote.options(
            num_cpus=0,
            max_concurrency=_CALLS,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(order)

    def _find_process(self) -> None:
        """Note the actor's process, to see that it is gone."""
        if (self._node or self._home) == self._home:
            with suppress(RayError, psutil.NoSuchProcess):
                pid = ray.get(self._actor.pid.remote(), timeout=_END_S)
                self._process = [psutil.Process(pid)]
