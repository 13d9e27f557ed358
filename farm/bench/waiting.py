"""A frame processor that waits as it would for a GPU, for `facefarm bench scale`.

Not for: renders; no list of processors names it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import ClassVar

from farm.processors.base import FaceFrame, ProcessorContext

WAIT_NAME = "bench_wait"
WAIT_VARIABLE = "FACEFARM_BENCH_WAIT_S"
"""Seconds that each frame takes; set before Ray starts, whose workers inherit it."""


class Waiting:
    """Leaves every frame as it is, after the stated time."""

    name: ClassVar[str] = WAIT_NAME
    needs_source: ClassVar[bool] = False
    needs_landmarks: ClassVar[bool] = False
    fails_closed: ClassVar[bool] = False

    def __init__(self) -> None:
        """Read how long."""
        self._wait_s = float(os.environ[WAIT_VARIABLE])

    def check(self, context: ProcessorContext) -> None:
        """Nothing can be missing."""

    def start(self, context: ProcessorContext) -> None:
        """Nothing is loaded."""

    def process(self, batch: Sequence[FaceFrame]) -> None:
        """Wait for each frame, as a device computes them one after another."""
        time.sleep(self._wait_s * len(batch))
