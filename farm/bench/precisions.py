"""The ways in which a device can compute, and a network's speed in each.

Not for: the pipeline around it (`cluster.bench_gpu`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from farm.errors import FarmError
from farm.models.session import SessionSettings, open_session
from farm.precision import Precision

BATCHES = (1, 8, 32)
_LEAST_S = 1.0
_LEAST_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpeed:
    """What a network does alone, in one way."""

    name: str
    provider: str
    precision: Precision
    batch: int
    cuda_graphs: bool
    per_second: float
    """Pictures."""
    problem: str = ""
    """Why there is no number."""


def network_speeds(
    model: Path, provider: str, threads: int, batches: tuple[int, ...] = BATCHES
) -> Iterator[NetworkSpeed]:
    """Measure a network in every precision and batch, and with CUDA graphs where there are any."""
    for precision in Precision:
        for batch in batches:
            for graphs in (False, True) if provider == "cuda" else (False,):
                yield _speed(model, provider, threads, precision, batch, graphs)


def _speed(
    model: Path, provider: str, threads: int, precision: Precision, batch: int, graphs: bool
) -> NetworkSpeed:
    found = NetworkSpeed(
        name=f"{provider}, {precision}, batch {batch}{', CUDA graphs' if graphs else ''}",
        provider=provider,
        precision=precision,
        batch=batch,
        cuda_graphs=graphs,
        per_second=0.0,
    )
    settings = SessionSettings(
        provider=provider,
        threads=threads,
        batch=batch,
        precision=precision,
        cuda_graphs=graphs,
    )
    try:
        session = open_session(model, settings)
        return replace(found, per_second=_per_second(session, batch))
    except FarmError as error:
        return replace(found, problem=error.message)
    except Exception as error:  # noqa: BLE001 - whatever a device says belongs into its row
        return replace(found, problem=" ".join(str(error).split())[:200])


def _per_second(session: Any, batch: int) -> float:
    """Pictures a second, after a first run that does not count."""
    random = np.random.default_rng(0)
    feeds = {
        each.name: random.random((batch, *each.shape[1:]), np.float32)
        for each in session.get_inputs()
    }
    session.run(None, feeds)
    runs, began = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - began) < _LEAST_S or runs < _LEAST_RUNS:
        session.run(None, feeds)
        runs += 1
    return runs * batch / taken_s
