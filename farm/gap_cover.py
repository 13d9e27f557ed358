"""The first step of a private job's chunk: faces that are lost for a few frames are put in between.

Frames around the chunk are searched only where they can matter: where a face comes or goes within a
gap's length of the chunk's border. Not for: jobs that read a face table, in which gaps are filled
or listed already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from farm.faces.face import Face
from farm.faces.gaps import Sightings
from farm.media.frame import EditableFrame
from farm.processors.base import FaceFrame

Pictures = list[FaceFrame]
"""The pictures of one frame: itself, or its two fields."""
Look = Callable[[Sequence[EditableFrame]], Sequence[Sequence[tuple[Face, ...]]]]
"""Searches frames: the faces of each picture of each."""


class GapCover:
    """Gives the frames of one chunk the faces that neighbours on both sides have."""

    def __init__(self, most: int, look: Look, works_on: range, counted: range) -> None:
        """Take what is asked for; frames are known by their places among those of the chunk.

        Args:
            most: Frames of the longest gap that is filled.
            look: Searches frames that came without their faces.
            works_on: The frames that may get faces, and come with those that were found. The others
                are only there to be looked at.
            counted: Those that enter the counts.
        """
        self._most = most
        self._look = look
        self._works_on = works_on
        self._counted = counted
        self._came = 0
        """Frames that came."""
        self._released = 0
        self._frames: dict[int, Pictures] = {}
        """Those that wait, and those around `works_on` that were not searched yet."""
        self._found: dict[int, Sequence[tuple[Face, ...]]] = {}
        """Faces of the pictures of frames that were searched."""
        self._entered = False
        self._look_until: int | None = None
        self.faces = 0
        """Faces that were put in; of an interlaced frame those of the field that got more."""
        self.frames = 0
        """Frames into which some were put."""
        self.frames_empty = 0
        """Those of them that had none before."""

    def push(self, frames: list[Pictures]) -> list[Pictures]:
        """Take the next frames; returns those that are done."""
        for frame in frames:
            self._frames[self._came] = frame
            if self._came in self._works_on:
                self._found[self._came] = [each.faces for each in frame]
            self._came += 1
        return self._release(self._came - self._most)

    def end(self) -> list[Pictures]:
        """Do the rest, behind which nothing comes."""
        return self._release(self._came)

    def _release(self, stop: int) -> list[Pictures]:
        """Do the frames before `stop`, behind which all that they depend on has come."""
        start, works_on = self._released, self._works_on
        if stop <= start:
            return []
        work = range(max(start, works_on.start), min(stop, works_on.stop))
        if work:
            self._search_before()
            self._search_behind(work)
            self._fill(work)
        self._released = stop
        ready = [self._frames[number] for number in range(start, stop)]
        self._forget()
        return ready

    def _search_before(self) -> None:
        """Search the frames before `works_on`, once, where a face comes soon after they end."""
        if self._entered:
            return
        self._entered = True
        start, stop = self._works_on.start, self._works_on.stop
        numbers, sightings = self._sightings(range(start, min(start + self._most + 1, stop)))
        came = [i for i in range(1, len(numbers)) if sightings.comes(i)]
        if stop - start <= self._most:
            # A gap may be longer than the chunk, so that both its ends lie around it.
            self._search(range(start - self._most, start))
        elif came:
            self._search(range(numbers[came[0] - 1] - self._most, start))

    def _search_behind(self, work: range) -> None:
        """Search the frames behind `works_on` that are there, where a face goes before they begin.

        Args:
            work: The frames that are about to be worked on.
        """
        stop = self._works_on.stop
        if work.stop - 1 + self._most < stop:
            return
        if self._look_until is None:
            numbers, sightings = self._sightings(range(stop - 1 - self._most, stop))
            went = [i for i in range(len(numbers) - 1) if sightings.goes(i)]
            self._look_until = numbers[went[-1] + 1] + self._most + 1 if went else stop
        self._search(range(stop, self._look_until))

    def _search(self, numbers: range) -> None:
        """Search those of the frames that are there and were not searched."""
        todo = [n for n in numbers if n in self._frames and n not in self._found]
        if todo:
            found = self._look([self._frames[n][0].frame.whole for n in todo])
            self._found.update(zip(todo, found, strict=True))

    def _fill(self, work: range) -> None:
        """Put in what is missing in frames."""
        around = range(work.start - self._most, work.stop + self._most)
        numbers, sightings = self._sightings(around)
        filled: dict[int, list[list[Face]]] = {}
        for number, faces in zip(numbers, sightings.missing(self._most), strict=True):
            filled.setdefault(number, []).append(faces)
        for number in work:
            for picture, faces in zip(self._frames[number], filled[number], strict=True):
                picture.faces = (*picture.faces, *faces)
            most = max(map(len, filled[number]))
            if most and number in self._counted:
                self.faces += most
                self.frames += 1
                self.frames_empty += not self._found[number][0]

    def _sightings(self, numbers: range) -> tuple[list[int], Sightings]:
        """The faces of those frames that were searched, and the frame of each of their pictures."""
        known = [n for n in numbers if n in self._found]
        numbered = [n for n in known for _ in self._found[n]]
        return numbered, Sightings([f for n in known for f in self._found[n]], numbered)

    def _forget(self) -> None:
        """Let go of what nobody needs any more."""
        unsearched = range(0 if self._entered else self._works_on.start)
        for number in [n for n in self._frames if n < self._released and n not in unsearched]:
            del self._frames[number]
        for number in [n for n in self._found if n < self._released - self._most]:
            del self._found[number]
