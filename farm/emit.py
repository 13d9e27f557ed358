"""From processed source frames to output frames: repeated, left out, or made between two.

Not for: deciding which (`farm.media.retime`) or making the pictures themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from farm.chunk_task import Shown
from farm.errors import ChunkError
from farm.media.frame import EditableFrame

Between = Callable[[EditableFrame, EditableFrame, float], EditableFrame]
"""Makes the frame at a phase between two, which stay as they are."""


class FrameEmitter:
    """Takes the source frames of one chunk in order and gives its output frames in order."""

    def __init__(self, shows: Sequence[Shown], between: Between) -> None:
        """Take what the output frames show, and what makes those that lie between two."""
        self._due = deque(shows)
        self._between = between
        self._last: tuple[int, EditableFrame] | None = None

    def add(self, position: int, frame: EditableFrame) -> Iterator[EditableFrame]:
        """Yield the output frames that need no later source frame than this one.

        The frames given here are held on to until the next one comes.

        Raises:
            ChunkError: A frame is needed that did not come.
        """
        here = {position: frame} | (dict([self._last]) if self._last else {})
        while self._due and self._due[0].second <= position:
            shown = self._due.popleft()
            if shown.first not in here or shown.second not in here:
                raise ChunkError(f"source frame {shown.first} of the chunk did not come in order")
            yield self._frame(here[shown.first], here[shown.second], shown.phase)
        self._last = (position, frame)

    def _frame(self, first: EditableFrame, second: EditableFrame, phase: float) -> EditableFrame:
        if first is second or not phase:
            return first
        return self._between(first, second, phase)
