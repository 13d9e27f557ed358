"""Memory of the whole job: this process and all that it started.

Proportional set sizes share out what processes have in common, so that their sum is what the
machine really gives. Not for: bounding memory (`farm.render`).
"""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil

_INTERVAL_S = 1.0


def family_bytes() -> int:
    """Return the sum of the proportional set sizes of this process and its descendants."""
    total = 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        # A process may end while it is looked at, or belong to somebody else.
        with suppress(psutil.Error):
            info = process.memory_full_info()
            total += int(getattr(info, "pss", info.uss))
    return total


class PeakMemory:
    """Samples `family_bytes` once a second. Use as a context manager."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, family_bytes())
            if self._stop.wait(_INTERVAL_S):
                return
