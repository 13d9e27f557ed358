"""Ray for the tests of whole renders.

Not for: tests that start a Ray of their own; they run the command in a process of its own
(`tests.cluster.command`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.runtime import RayRuntime

MOST_WORKERS = 4


@pytest.fixture(scope="session")
def runtime() -> Iterator[RayRuntime]:
    """A private Ray with room for four workers, one for the whole session."""
    with RayRuntime(None, MOST_WORKERS) as started:
        yield started
