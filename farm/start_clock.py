"""What passes between the begin of a job and the first frame in work, by part.

Not for: the seconds of stages (`farm.spans`), which may run beside each other.
"""

from __future__ import annotations

import time

FIRST_FRAME = "first frame in work"
"""The last part."""


class StartClock:
    """Notes when each part of the start has ended; only the first time counts."""

    def __init__(self) -> None:
        self.began_s = time.time()
        """Seconds since 1970."""
        self._ends: dict[str, float] = {}

    def mark(self, part: str) -> None:
        """A part has ended now."""
        self.mark_at(part, time.time())

    def mark_at(self, part: str, end_s: float) -> None:
        """A part has ended, at some time since 1970."""
        self._ends.setdefault(part, end_s)

    def parts(self) -> dict[str, float]:
        """Seconds of each part, in the order in which they ended."""
        found, before_s = {}, self.began_s
        for part, end_s in sorted(self._ends.items(), key=lambda each: each[1]):
            found[part] = round(max(0.0, end_s - before_s), 3)
            before_s = max(before_s, end_s)
        return found
