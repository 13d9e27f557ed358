from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np

from farm.memory import PeakMemory, family_bytes


def test_memory_that_is_used_counts() -> None:
    before = family_bytes()
    block = np.ones(32 << 20, dtype=np.uint8)
    assert family_bytes() - before > 24 << 20
    assert block[0] == 1


def test_child_processes_count() -> None:
    code = "import sys; b = b'x' * (48 << 20); print('up', flush=True); sys.stdin.read()"
    before = family_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        grown = family_bytes() - before
    assert grown > 40 << 20


def test_the_peak_is_sampled_and_the_thread_ends() -> None:
    with PeakMemory() as peak:
        pass
    assert peak.peak_bytes > 1 << 20
    assert "peak-memory" not in {thread.name for thread in threading.enumerate()}
