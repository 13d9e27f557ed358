"""Starting and leaving Ray: a private one on this machine, or an address.

Not for: what runs on it (`actors`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import farm
from farm.errors import ClusterError

_STORE_BYTES = 256 << 20
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What Ray knows of all nodes together."""

    cores: int
    gpus: float


class RayRuntime:
    """Ray for one command; leaving it shuts down what it started.

    A plain `ray.init()` would join whatever cluster runs on the machine, so the local one is asked for
    by name. Ray starts on the main thread only (elsewhere it waits in vain for its own server).
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        """Take what to start; entering it starts it.

        Args:
            address: Of a running cluster, None for a private one on this machine.
            workers: How many workers must find room, None for as many as there are cores.
        """
        self._address = address
        self._slots = max(os.cpu_count() or 1, workers or 1) + 1

    def __enter__(self) -> RayRuntime:
        """Start Ray or join the cluster.

        Raises:
            ClusterError: It could not be started or reached.
        """
        os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
        import ray

        options: dict[str, Any] = {"address": self._address}
        if self._address is None:
            options = {
                "address": "local",
                "num_cpus": self._slots,
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
            }
        try:
            with _code_in_reach():
                ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:
            ray.shutdown()
            raise self._start_error(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import ray

        ray.shutdown()

    def resources(self) -> Resources:
        """Return what there is to work with."""
        import ray

        have = ray.cluster_resources()
        cores = os.cpu_count() or 1 if self._address is None else int(have.get("CPU", 1))
        return Resources(cores=cores, gpus=float(have.get("GPU", 0)))

    def _start_error(self, error: Exception) -> ClusterError:
        """Say in one line why there is no Ray."""
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if self._address is not None:
            return ClusterError(
                f"the Ray cluster at {self._address} cannot be reached ({lines[0]}); check --address"
            )
        return ClusterError(
            f"Ray cannot be started on this machine ({lines[0]}); `facefarm doctor` shows what is missing"
        )


@contextmanager
def _code_in_reach() -> Iterator[None]:
    """Let the processes of a private Ray import the farm from where this process did."""
    before = os.environ.get("PYTHONPATH")
    root = str(Path(farm.__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = root if before is None else os.pathsep.join((root, before))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
