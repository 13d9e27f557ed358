"""Trials of encoders on the nodes, each in a process of its own, which a driver may bring down.

Not for: what a trial is (`farm.encoder_trial`) or which encoder is taken (`scheduler.encoders`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.encoder_trial import Trial, try_choice
from farm.media.encoders import EncoderChoice
from farm.media.stream import StreamParameters

_TRIAL_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningTrials:
    """Trials that go on; `results` waits for them."""

    nodes: tuple[str, ...]
    encoders: tuple[str, ...]
    refs: dict[str, Any]
    """By node."""
    here: Future[tuple[Trial, ...]] | None = None
    """The trial in this process, where there is no other."""

    def results(self) -> dict[str, tuple[Trial, ...]]:
        """Return what each node found; a node that does not answer can use none of them."""
        if not self.encoders:
            return dict.fromkeys(self.nodes, ())
        if self.here is not None:
            return dict.fromkeys(self.nodes, self.here.result())
        ray.wait(list(self.refs.values()), num_returns=len(self.refs), timeout=_TRIAL_S)
        return {node: self._answer(ref) for node, ref in self.refs.items()}

    def _answer(self, ref: Any) -> tuple[Trial, ...]:
        if not ray.wait([ref], timeout=0)[0]:
            ray.cancel(ref, force=True)
            return self._all(f"did not answer within {_TRIAL_S:.0f} s")
        try:
            found: tuple[Trial, ...] = ray.get(ref)
        except RayError as error:
            return self._all(f"its trial brought the process down ({type(error).__name__})")
        return found

    def _all(self, problem: str) -> tuple[Trial, ...]:
        return tuple(Trial(encoder=name, problem=problem) for name in self.encoders)


def start_trials(
    rungs: Sequence[EncoderChoice], stream: StreamParameters, nodes: Iterable[str], home: str
) -> RunningTrials:
    """Try encoders on nodes; on the driver's alone, in its own process, where no device is.

    Args:
        rungs: The encoders.
        stream: What they are to encode.
        nodes: Ids of the nodes.
        home: That of the driver.
    """
    nodes, names = tuple(nodes), tuple(rung.encoder for rung in rungs)
    if nodes == (home,) and not _has_devices():
        with_thread = ThreadPoolExecutor(1)
        here = with_thread.submit(try_rungs, tuple(rungs), stream)
        with_thread.shutdown(wait=False)
        return RunningTrials(nodes=nodes, encoders=names, refs={}, here=here)
    remote: Any = ray.remote(try_rungs)
    refs = {
        node: remote.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(tuple(rungs), stream)
        for node in (nodes if rungs else ())
    }
    return RunningTrials(nodes=nodes, encoders=names, refs=refs)


def _has_devices() -> bool:
    """Whether there may be a device whose driver could bring a process down."""
    places = (("/dev", "nvidia*"), ("/dev", "dxg"), ("/dev/dri", "renderD*"))
    found = any(any(Path(folder).glob(name)) for folder, name in places)
    return found or sys.platform != "linux"


def try_rungs(rungs: Sequence[EncoderChoice], stream: StreamParameters) -> tuple[Trial, ...]:
    """Try each encoder here, but software only where no hardware works."""
    found: list[Trial] = []
    for rung in rungs:
        if rung.family or all(trial.problem for trial in found):
            found.append(try_choice(rung, stream))
    return tuple(found)
