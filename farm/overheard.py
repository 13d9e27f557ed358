"""What the farm's own code warns of in a process that nobody watches, for whoever can say it.

Not for: errors, which are raised.
"""

from __future__ import annotations

import logging
from collections import deque

_MOST = 100


class Overheard:
    """Collects warnings of the farm's loggers between `start` and `stop`, the last ones."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=_MOST)
        self._handler = _Collector(self._said)

    def start(self) -> None:
        """Begin to listen."""
        logging.getLogger("farm").addHandler(self._handler)

    def stop(self) -> None:
        """Listen no longer."""
        logging.getLogger("farm").removeHandler(self._handler)

    def take(self) -> list[str]:
        """What was said since the last call."""
        found = []
        while self._said:
            found.append(self._said.popleft())
        return found


class _Collector(logging.Handler):
    """Puts messages of warnings into a queue."""

    def __init__(self, said: deque[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self._said.append(record.getMessage())
