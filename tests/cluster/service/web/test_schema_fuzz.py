from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.service.config import WebSettings
from cluster.service.web.server import WebServer
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import add, new_job

_CHECKS = "not_a_server_error,status_code_conformance,response_schema_conformance"


@pytest.mark.fuzz
def test_no_request_that_the_description_allows_or_forbids_breaks_the_service(
    tmp_path: Path,
) -> None:
    store = tmp_path / "q.sqlite"
    with QueueStore(store) as queue:
        add(queue, *(new_job(i) for i in range(20)))
    with WebServer("127.0.0.1:0", store, tmp_path, WebSettings(roots=(tmp_path,))) as server:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--checks", _CHECKS, "--max-examples", "100", "--seed", "1", "--workers", "1"),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=900
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
