"""The processors of one chunk, some of which see frames before and after those that they edit.

Such a processor gets frames a little late: when those after them are there. What it looks at is
what the processor before it gave, untouched by itself. Not for: finding faces (`farm.process`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from farm.processors.base import FaceFrame, FrameProcessor
from farm.processors.registry import lead_of

Pictures = list[FaceFrame]
"""The pictures of one frame: itself, or its two fields."""


class ProcessorChain:
    """Runs processors one after another over the frames of one chunk, given in order."""

    def __init__(self, processors: Sequence[FrameProcessor]) -> None:
        self._steps = [_Step(processor) for processor in processors]

    def push(self, frames: Sequence[Pictures]) -> int:
        """Take the next frames; returns how many more are through all processors."""
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


class _Step:
    """One processor with the frames that it waits with."""

    def __init__(self, processor: FrameProcessor) -> None:
        self._processor = processor
        self._before, self._after = lead_of([processor])
        self._pictures = getattr(processor, "needs_pictures", True)
        self._seen: list[Pictures] = []
        """Frames before the waiting ones, as they were."""
        self._waiting: list[Pictures] = []

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
        after = [_looked_at(each) for each in self._waiting[: self._after]]
        context = self._seen
        if self._before:
            keep = _copied if self._pictures else _looked_at
            kept = [keep(each) for each in now[-self._before :]]
            self._seen = [*self._seen, *kept][-self._before :]
        frames = [*context, *now, *after]
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
