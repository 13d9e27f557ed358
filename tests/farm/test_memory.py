from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from farm.memory import PeakMemory, SpareMemory, family_bytes


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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_memory_that_was_freed_between_pieces_in_use_goes_back_to_the_system() -> None:
    blocks = [np.ones(64 << 10, dtype=np.uint8) for _ in range(1600)]
    kept = blocks[::16]
    del blocks
    before = psutil.Process().memory_info().rss
    SpareMemory().give_back()
    assert before - psutil.Process().memory_info().rss > 48 << 20
    assert len(kept) == 100


def test_memory_is_not_given_back_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    spare = SpareMemory()
    monkeypatch.setattr(spare, "_trim", calls.append)
    spare.give_back()
    spare.give_back()
    assert calls == [0]
