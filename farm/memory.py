"""Memory of the whole job: this process and all that it started.

Proportional set sizes share out what processes have in common, so that their sum is what the
machine really gives. Not for: bounding memory (`farm.render`).
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from contextlib import suppress

import psutil

_INTERVAL_S = 1.0
_GIVE_BACK_S = 2.0


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


class SpareMemory:
    """What the C library keeps of memory that was freed, and how it goes back to the system.

    Encoders and decoders come and go with the chunks, and each leaves free pieces between those in
    use: without this a worker grows for minutes. glibc only; elsewhere it does nothing.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(libc, "malloc_trim", None)
        self._again_s = 0.0

    def give_back(self) -> None:
        """Return whole free pages to the system, some 10 ms of work: every two seconds at most."""
        now = time.monotonic()
        if self._trim is not None and now >= self._again_s:
            self._trim(0)
            self._again_s = now + _GIVE_BACK_S
