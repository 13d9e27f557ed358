"""The processors of one chunk, some of which see frames before and after those that they edit.

Such a processor gets frames a little late: when those after them are there. What it looks at is
what the processor before it gave, untouched by itself. Not for: finding faces (`farm.process`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from farm.gap_cover import GapCover, Look, Pictures
from farm.processors.base import FrameProcessor
from farm.processors.registry import lead_of

EVERY_FRAME = range(sys.maxsize)


class _Step(Protocol):
    """Takes frames in order and gives them on a little late."""

    def push(self, frames: list[Pictures]) -> list[Pictures]:
        """Take frames; returns those that are done."""

    def end(self) -> list[Pictures]:
        """Do the rest, behind which nothing comes."""


class ProcessorChain:
    """Runs processors one after another over the frames of one chunk, given in order."""

    def __init__(self, processors: Sequence[FrameProcessor], shown: range = EVERY_FRAME) -> None:
        """Take the processors.

        Args:
            processors: In order.
            shown: Places among the chunk's frames of those whose pictures are wanted. The others
                are worked on only as far as a later processor looks at them.
        """
        self._steps: list[_Step] = []
        works_on = shown
        for processor in reversed(processors):
            self._steps.insert(0, _ProcessorStep(processor, works_on))
            before, after = lead_of([processor])
            works_on = range(max(0, works_on.start - before), works_on.stop + after)
        self._works_on = works_on
        self._came = 0
        self.cover: GapCover | None = None
        """Counts what was put in, where that was asked for."""

    def cover_gaps(self, most: int, look: Look, counted: range) -> None:
        """Put lost faces in between before all else; see `GapCover`."""
        self.cover = GapCover(most, look, self._works_on, counted)
        self._steps.insert(0, self.cover)

    def searches(self, count: int) -> list[bool]:
        """Which of the frames that come next need their faces; the others are searched if need be.

        Args:
            count: How many.
        """
        return [self._came + i in self._works_on for i in range(count)]

    def push(self, frames: Sequence[Pictures]) -> int:
        """Take the next frames; returns how many more are through all processors."""
        self._came += len(frames)
        ready = list(frames)
        for step in self._steps:
            ready = step.push(ready)
        return len(ready)

    def end(self) -> int:
        """Bring the frames through that wait for later ones; returns how many."""
        ready: list[Pictures] = []
        for step in self._steps:
            ready = step.push(ready) + step.end()
        return len(ready)


class _ProcessorStep:
    """One processor with the frames that it waits with."""

    def __init__(self, processor: FrameProcessor, works_on: range) -> None:
        self._processor = processor
        self._works_on = works_on
        self._before, self._after = lead_of([processor])
        self._pictures = getattr(processor, "needs_pictures", True)
        self._seen: list[Pictures] = []
        """Frames before the waiting ones, as they were."""
        self._waiting: list[Pictures] = []
        self._done = 0

    def push(self, frames: list[Pictures]) -> list[Pictures]:
        """Take frames; returns those that are done."""
        self._waiting += frames
        return self._work(len(self._waiting) - self._after)

    def end(self) -> list[Pictures]:
        """Do the rest, behind which nothing comes."""
        return self._work(len(self._waiting))

    def _work(self, count: int) -> list[Pictures]:
        if count <= 0:
            return []
        now, self._waiting = self._waiting[:count], self._waiting[count:]
        mine = [self._done + i in self._works_on for i in range(count)]
        self._done += count
        after = [_looked_at(each) for each in self._waiting[: self._after]]
        context = self._seen
        if self._before:
            keep = _copied if self._pictures else _looked_at
            kept = [keep(each) for each in now[-self._before :]]
            self._seen = [*self._seen, *kept][-self._before :]
        if any(mine):
            asked = [f if own else _looked_at(f) for f, own in zip(now, mine, strict=True)]
            frames = [*context, *asked, *after]
            self._processor.process([picture for frame in frames for picture in frame])
        return now


def _looked_at(frame: Pictures) -> Pictures:
    """The same pictures, only to be looked at."""
    return [replace(each, lead=True) for each in frame]


def _copied(frame: Pictures) -> Pictures:
    """Copies of the pictures as they are now, only to be looked at."""
    pictures = frame[0].frame.whole.copied().pictures
    return [
        replace(each, frame=picture, lead=True)
        for each, picture in zip(frame, pictures, strict=True)
    ]
