"""A Ray cluster of several nodes on this machine, started by another process in another folder.

Not for: the private Ray of `tests.cluster.conftest`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

_SCRIPT = """
import json, sys
from ray.cluster_utils import Cluster
cluster, nodes = None, json.loads(sys.argv[1])
common = {"object_store_memory": 160 << 20}
head = {**common, "include_dashboard": False, **nodes[0]}
cluster = Cluster(initialize_head=True, head_node_args=head)
for node in nodes[1:]:
    cluster.add_node(**{**common, **node})
cluster.wait_for_nodes()
print("address", cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@contextmanager
def cluster_of(nodes: Sequence[dict[str, Any]], folder: Path, **environment: str) -> Iterator[str]:
    """Give the address of a cluster whose nodes are started with these arguments of Ray.

    Args:
        nodes: For each, the head first, arguments like `num_cpus`, `num_gpus`, `env_vars`.
        folder: Where it is started; a name short enough for Ray's sockets.
        environment: Of all its processes.
    """
    variables = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder)} | environment
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SCRIPT, json.dumps(list(nodes))],
        cwd=folder,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = next((x for x in process.stdout if x.startswith("address ")), "")
        assert line, "the cluster did not start"
        yield line.split()[1]
    finally:
        try:
            process.communicate("\n", timeout=60)
        except subprocess.TimeoutExpired:  # a test has killed what it asks
            _kill_family(process.pid)
            process.wait()
            raise


def _kill_family(pid: int) -> None:
    for each in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def facefarm(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    cli = Path(__file__).resolve().parents[2] / "cli.py"
    return subprocess.run(
        [sys.executable, str(cli), *map(str, arguments)],
        env=os.environ | {"RAY_AUTH_MODE": "disabled"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
