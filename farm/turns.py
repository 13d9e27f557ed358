"""Several threads that take work one after another and hand it on in the same order.

Not for: the work itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Work = TypeVar("Work")


class Turns:
    """One thread takes at a time, and one hands on at a time, in the order of taking."""

    def __init__(self) -> None:
        self._taking = threading.Lock()
        self._handing = threading.Condition()
        self._taken = 0
        self._handed = 0

    def take(self, take: Callable[[], Work]) -> tuple[int, Work]:
        """Take work with the turn in which it is to be handed on; each turn must be."""
        with self._taking:
            work = take()
            turn = self._taken
            self._taken += 1
            return turn, work

    @contextmanager
    def in_turn(self, turn: int) -> Iterator[None]:
        """Wait for a turn; it ends with the block."""
        with self._handing:
            self._handing.wait_for(lambda: self._handed == turn)
            try:
                yield
            finally:
                self._handed += 1
                self._handing.notify_all()
