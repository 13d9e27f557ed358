"""Benchmarks that start a Ray of their own run as commands, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.command import ROOT, temporary_folder


def bench(*arguments: str) -> dict[str, Any]:
    with temporary_folder() as folder:
        done = subprocess.run(
            [sys.executable, ROOT / "cli.py", "bench", *arguments, "--json"],
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.ray
@pytest.mark.long
def test_workers_on_logical_gpus_share_work_that_is_waiting(tmp_path: Path) -> None:
    sizes = ("--chunks", "2", "--chunk-frames", "10", "--frame-ms", "5")
    plot = tmp_path / "plot.svg"
    found = bench("scale", "--workers", "1", "--workers", "3", *sizes, "--plot", str(plot))
    assert [(row["workers"], row["chunks"], row["frames"]) for row in found["rows"]] == [
        (1, 2, 20),
        (3, 6, 60),
    ]
    # Nobody can be faster than the waiting.
    assert all(0 < row["efficiency"] <= 1 for row in found["rows"])
    assert plot.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.ray
@pytest.mark.long
def test_memory_is_measured_with_and_without_bounds() -> None:
    found = bench("memory", "--seconds", "10", "--size", "64x48", "--workers", "1")
    assert [(row["seconds"], row["bounded"]) for row in found["rows"]] == [(10, True), (10, False)]
    assert all(row["peak_bytes"] > row["worker_bytes"] > 0 for row in found["rows"])
