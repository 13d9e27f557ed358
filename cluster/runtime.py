"""Starting and leaving Ray: a private one on this machine, or an address.

Not for: what runs on it (`actors`).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil

import farm
from cluster.attach import (
    attach_error,
    check_address,
    own_token,
    settle_authentication,
    split_address,
    variables,
)
from cluster.code import is_shipped, staged_code
from farm.errors import ClusterError
from farm.node.facts import Questions
from farm.scratch import scratch_folder

if TYPE_CHECKING:
    from cluster.inventory import Inventory

log = logging.getLogger(__name__)

_STORE_BYTES = 256 << 20
_END_S = 10.0
_TEMP_PREFIX = "facefarm-ray-"
_MAX_TEMP_LENGTH = 40
"""Ray's sockets lie deep below, and the name of a socket has at most 107 characters."""
_ENVIRONMENT = {
    # With an arena for each thread, what decoders and encoders give back stays in pieces: memory
    # would grow with the length of the video until every arena has had its peak. Pictures, small
    # ones too, are mapped one by one, so that each goes back to the system when it is freed.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(128 << 10),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    # Every answer that counts is read (`actors.run`). What a worker that was taken out of the job
    # still had in hand is not; Ray would print the trace of each, as an error that nobody handles.
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class RayRuntime:
    """Ray for one command; leaving it shuts down what it started.

    A plain `ray.init()` would join whatever cluster runs on the machine, so the local one is asked
    for by name, and lives in a folder of its own. Ray starts on the main thread only (elsewhere it
    waits in vain for its own server).
    """

    def __init__(
        self, address: str | None, workers: int | None, *, gpus: int | None = None
    ) -> None:
        """Take what to start; entering it starts it.

        Args:
            address: Of a running cluster, None for a private one on this machine.
            workers: How many workers must find room, None for as many as there are cores.
            gpus: How many GPUs a private Ray is to count on, None for those that it finds.
        """
        self._address = address
        self._slots = max(os.cpu_count() or 1, workers or 1) + 1
        self._gpus = gpus
        self._stack = ExitStack()

    def __enter__(self) -> RayRuntime:
        """Start Ray or join the cluster.

        Raises:
            ClusterError: It could not be started or reached.
        """
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def is_private(self) -> bool:
        """Whether Ray runs on this machine alone, for this command."""
        return self._address is None

    def inventory(self, questions: Questions) -> Inventory:
        """Return what the nodes have.

        Raises:
            ClusterError: No node can be used.
        """
        from cluster.inventory import cluster_inventory, local_inventory

        if self._address is None:
            return local_inventory(questions)
        return cluster_inventory(questions)

    def nodes(self) -> tuple[str, ...]:
        """Return the ids of the nodes that live."""
        import ray

        entries: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return tuple(str(entry["NodeID"]) for entry in entries if entry["Alive"])

    @property
    def home(self) -> str:
        """Id of the driver's node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def _start(self, stack: ExitStack) -> None:
        """Start Ray; `stack` ends it."""
        os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
        import ray

        if ray.is_initialized():
            raise ClusterError("this process uses Ray already; leave it first (ray.shutdown())")
        options = self._own(stack) if self._address is None else self._joined(stack)
        stack.enter_context(_quiet_ray())
        stack.callback(_shut_down, {child.pid for child in psutil.Process().children()})
        try:
            with _code_in_reach():
                ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:
            raise self._start_error(error) from error

    def _own(self, stack: ExitStack) -> dict[str, Any]:
        """Return how a private Ray is started, which nobody reaches from another machine."""
        stack.enter_context(_loopback_only())
        stack.enter_context(own_token())
        return {
            "address": "local",
            "num_cpus": self._slots,
            "num_gpus": self._gpus,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": str(stack.enter_context(_private_folder())),
        }

    def _joined(self, stack: ExitStack) -> dict[str, Any]:
        """Return how a running cluster is joined; the code of this process goes along.

        Raises:
            ClusterError: Nobody answers, or there is no token.
        """
        address = self._address or "auto"
        check_address(address)
        if address != "auto":
            settle_authentication(split_address(address)[0])
        if is_shipped():
            return {"address": address}
        # Ray keeps each code in a folder of its own and sends it to a node once.
        runtime_env = {
            "working_dir": str(stack.enter_context(staged_code())),
            "env_vars": worker_variables(),
        }
        return {"address": address, "runtime_env": runtime_env}

    def _start_error(self, error: Exception) -> ClusterError:
        """Say in one line why there is no Ray."""
        if self._address is not None:
            return attach_error(self._address, error)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ClusterError(
            f"Ray cannot be started on this machine ({reason}); "
            "`facefarm doctor` shows what is missing"
        )


def worker_variables() -> dict[str, str]:
    """Return the variables that processes on a cluster need, beside Ray's own."""
    return {name: value for name, value in _ENVIRONMENT.items() if not name.startswith("RAY_")}


@contextmanager
def _quiet_ray() -> Iterator[None]:
    """Let what Ray tells of its cluster be logged; it would print it, over several lines."""
    from ray._private import worker

    def note(data: Any, ignore_prefix: bool) -> None:
        for line in data["lines"]:
            log.debug("Ray: %s", line)

    before = worker.print_to_stdstream
    worker.print_to_stdstream = note
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Let every server of a Ray that is started meanwhile listen on loopback and nowhere else.

    Ray does so where it is told that it is on a system on which it makes no clusters; asked for a
    loopback address elsewhere, it takes the machine's own and listens everywhere.
    """
    from ray._private import ray_constants

    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    made = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with variables({name: "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = made


def _private_folder() -> AbstractContextManager[Path]:
    """A folder for Ray that does not stay."""
    is_long = len(tempfile.gettempdir()) > _MAX_TEMP_LENGTH
    return scratch_folder(_TEMP_PREFIX, Path("/tmp") if is_long else None)


def _shut_down(before: set[int]) -> None:
    """Leave Ray and see that no process of it stays, not even one that does not listen.

    Args:
        before: Children that this process had before.
    """
    import ray

    started = [child for child in psutil.Process().children() if child.pid not in before]
    for process in list(started):
        with suppress(psutil.NoSuchProcess):
            started += process.children(recursive=True)
    ray.shutdown()
    for process in psutil.wait_procs(started, timeout=_END_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def _code_in_reach() -> Iterator[None]:
    """Let the processes of a private Ray import the farm from where this process did."""
    before = os.environ.get("PYTHONPATH")
    root = str(Path(farm.__file__).resolve().parent.parent)
    with variables({"PYTHONPATH": root if before is None else os.pathsep.join((root, before))}):
        yield
