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
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import FarmError, JobError
from farm.media.final import FinishReport, FinishRequest, finish

_POLL_S = 0.5
_END_S = 10.0


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

    def encoded_frames(self) -> int:
        """Return how many frames the final encoder has taken."""
        return self._encoded

    def _progress(self, done: int, _of: int) -> None:
        self._encoded = done


def run_finisher(request: FinishRequest, progress: Callable[[int], None]) -> FinishReport:
    """Run the final task on this node and wait for it.

    It takes no CPU slot: workers hold them all, and a task that waits for one would wait for ever.

    Args:
        request: What to do.
        progress: Called with the frames that the final encoder has taken so far.

    Raises:
        FarmError: As `farm.media.final.finish`.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = (
        ray.remote(Finisher)
        .options(num_cpus=0, max_concurrency=2, max_restarts=0, scheduling_strategy=here)
        .remote()
    )
    process = None
    try:
        process = psutil.Process(ray.get(actor.pid.remote()))
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
        children = _children(process)
        ray.kill(actor)
        _end(process, children)
        request.temporary.unlink(missing_ok=True)
    return report


def _children(process: psutil.Process | None) -> list[psutil.Process]:
    """Return what a process has started, nothing where it is gone."""
    with suppress(psutil.NoSuchProcess):
        return [] if process is None else process.children(recursive=True)
    return []


def _end(process: psutil.Process | None, children: list[psutil.Process]) -> None:
    """Wait until a killed actor is gone, and kill its ffmpeg, which Ray leaves alive."""
    family = [*children, *([] if process is None else [process])]
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    for left in psutil.wait_procs(family, timeout=_END_S)[1]:
        with suppress(psutil.NoSuchProcess):
            left.kill()
