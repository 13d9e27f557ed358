"""The finisher: the final task, as an actor on the node of the job folder.

Not for: how chunks are joined (`farm.media.final`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.errors import FarmError, JobError
from farm.media.final import FinishReport, FinishRequest, finish

_POLL_S = 0.5


class Finisher:
    """Runs the final task and says how far its encoding is."""

    def __init__(self) -> None:
        self._encoded = 0

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
    try:
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
        ray.kill(actor)
    return report
