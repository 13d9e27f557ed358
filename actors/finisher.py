"""The finisher: the final task, as an actor on the node of the job folder.

Not for: how chunks are joined (`farm.media.final`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import FarmError, JobError
from farm.media.final import FinishReport, FinishRequest, finish

_POLL_S = 0.5
_END_S = 10.0
_CALLS = 3
"""Calls of the actor at once: the task, a question, and the order to end."""


class Finisher:
    """Runs the final task and says how far its encoding is."""

    def __init__(self) -> None:
        self._encoded = 0

    def pid(self) -> int:
        """Return the number of this process."""
        return os.getpid()

    def finish(self, request: FinishRequest) -> FinishReport:
        """Make the output; see `farm.media.final.finish`."""
        return finish(request, self._progress)

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


def run_finisher(
    request: FinishRequest, node: str | None, progress: Callable[[int], None]
) -> FinishReport:
    """Run the final task and wait for it.

    It takes no CPU slot: workers hold them all, and a task that waits for one would wait for ever.

    Args:
        request: What to do.
        node: Id of the node that does it, None for this one.
        progress: Called with the frames that the final encoder has taken so far.

    Raises:
        FarmError: As `farm.media.final.finish`.
    """
    home = ray.get_runtime_context().get_node_id()
    actor: Any = (
        ray.remote(Finisher)
        .options(
            num_cpus=0,
            max_concurrency=_CALLS,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node or home, soft=False),
        )
        .remote()
    )
    process = None
    try:
        pid = ray.get(actor.pid.remote())
        process = psutil.Process(pid) if node in (None, home) else None
        answer = actor.finish.remote(request)
        while not ray.wait([answer], timeout=_POLL_S)[0]:
            progress(ray.get(actor.encoded_frames.remote()))
        report: FinishReport = ray.get(answer)
    except RayTaskError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, FarmError):
            raise cause from error
        raise JobError(f"the final task failed ({error}); run the command again") from error
    except RayActorError as error:
        raise JobError("the final task's process died; run the command again") from error
    finally:
        _end(actor, process)
        request.temporary.unlink(missing_ok=True)
    return report


def _end(actor: Any, process: psutil.Process | None) -> None:
    """End an actor with its ffmpeg, and wait until a process of this node is gone."""
    with suppress(RayError):
        ray.get(actor.end_children.remote(), timeout=_END_S)
    ray.kill(actor)
    if process is not None:
        for left in psutil.wait_procs([process], timeout=_END_S)[1]:
            with suppress(psutil.NoSuchProcess):
                left.kill()
