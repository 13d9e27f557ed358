"""Ctrl-C in two steps: the first lets the chunks in hand be finished, the second stops at once.

A plain record that the command line's signal handler and the render share; both run on the main
thread. Not for: handling signals (`cli`).
"""

from __future__ import annotations


class StopRequest:
    """What the user asked for by pressing Ctrl-C."""

    def __init__(self) -> None:
        self.can_drain = False
        """Whether chunks are being rendered, so that finishing those in hand saves work."""
        self.asked = False
        """Whether the render should end when the chunks in hand are finished."""
        self._stopped = False

    def press(self) -> None:
        """Take note of one Ctrl-C.

        Raises:
            KeyboardInterrupt: There is nothing to drain, or it was pressed before. After that
                cleaning up is left alone, however often it is pressed.
        """
        if self._stopped:
            return
        if self.can_drain and not self.asked:
            self.asked = True
            return
        self._stopped = True
        raise KeyboardInterrupt
