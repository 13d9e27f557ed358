"""Faces that vanish for a few frames between two sights: put in between, from neighbours alone.

What is put into a frame depends on the faces of no more frames around it than the longest gap, so
that it does not matter how a clip is cut into chunks. Rather too much is put in than too little.
Not for: gaps of tracks, which a face table fills (`farm.faces.track`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.geometry import SAME_PLACE, nearness, overlaps, pair, pair_boxes

_COME_BACK = 0.75
"""What two sights with a gap between need of the likeness of two without."""


class Sightings:
    """The faces of consecutive pictures, and which of them go on into the next one."""

    def __init__(
        self, pictures: Sequence[Sequence[Face]], frames: Sequence[int] | None = None
    ) -> None:
        """Link the faces of pictures.

        Args:
            pictures: One at least.
            frames: Number of the frame that each is, or is a field of; None for one after another.
        """
        self._pictures = pictures
        self._frames = range(len(pictures)) if frames is None else frames
        self._boxes = [_boxes(faces) for faces in pictures]
        self._goes_on: list[NDArray[np.bool_]] = []
        self._went_on: list[NDArray[np.bool_]] = [np.zeros(len(self._boxes[0]), np.bool_)]
        for before, after in pairwise(self._boxes):
            partner = _partners(before, after, SAME_PLACE)
            self._goes_on.append(partner >= 0)
            came = np.zeros(len(after), np.bool_)
            came[partner[partner >= 0]] = True
            self._went_on.append(came)
        self._goes_on.append(np.zeros(len(self._boxes[-1]), np.bool_))

    def comes(self, picture: int) -> bool:
        """Whether a face is there that the picture before it, if there is one, does not show."""
        return not self._went_on[picture].all()

    def goes(self, picture: int) -> bool:
        """Whether a face is there that the picture behind it, if there is one, does not show."""
        return not self._goes_on[picture].all()

    def missing(self, most: int) -> list[list[Face]]:
        """What is to be put into each picture: those lost before it and found again behind it.

        Args:
            most: Frames of the longest gap that is filled. What is put into a picture depends on
                so many frames before and behind its own.
        """
        filled: list[list[Face]] = [[] for _ in self._pictures]
        for start in range(len(self._pictures) - 2):
            if self._goes_on[start].all():
                continue
            for stop, lost, found in self._returns(start, most):
                for number in range(start + 1, stop):
                    late = (number - start) / (stop - start)
                    filled[number].append(between(lost, found, late))
        return [_new(faces, boxes) for faces, boxes in zip(filled, self._boxes, strict=True)]

    def _returns(self, start: int, most: int) -> list[tuple[int, Face, Face]]:
        """The faces that are lost behind a picture: where each is found again first, and how."""
        lost = np.flatnonzero(~self._goes_on[start])
        returns = []
        for stop in self._stops(start, most):
            new = np.flatnonzero(~self._went_on[stop])
            partner = _partners(
                self._boxes[start][lost], self._boxes[stop][new], SAME_PLACE * _COME_BACK
            )
            for place in np.flatnonzero(partner >= 0):
                gone = self._pictures[start][lost[place]]
                returns.append((stop, gone, self._pictures[stop][new[partner[place]]]))
            lost = lost[partner < 0]
        return returns

    def _stops(self, start: int, most: int) -> Iterator[int]:
        """The pictures that may end a gap behind a picture.

        The first picture of the gap must be near enough to its end, the last one to its start.
        """
        frames = self._frames
        for stop in range(start + 2, len(frames)):
            if max(frames[stop] - frames[start + 1], frames[stop - 1] - frames[start]) > most:
                return
            yield stop


def between(first: Face, last: Face, late: float) -> Face:
    """A face on its even way from one sight to another; `late` says how far it is, 0 to 1."""
    points = None
    if first.landmarks_xy is not None and last.landmarks_xy is not None:
        points = _mixed(first.landmarks_xy, last.landmarks_xy, late)
    return Face(
        box_xyxy=_mixed(first.box_xyxy, last.box_xyxy, late),
        score=min(first.score, last.score),
        landmarks_xy=points,
        filled=True,
    )


def _mixed(
    first: NDArray[np.float32], last: NDArray[np.float32], late: float
) -> NDArray[np.float32]:
    return np.asarray((1 - late) * first + late * last, np.float32)


def _new(filled: list[Face], there: NDArray[np.float32]) -> list[Face]:
    """Those that are not there already."""
    known = pair_boxes(_boxes(filled), there)
    return [face for face, place in zip(filled, known, strict=True) if place < 0]


def _partners(
    first: NDArray[np.float32], second: NDArray[np.float32], least: float
) -> NDArray[np.int64]:
    """[n] which box of the second picture shows the same face, -1 for none."""
    if not len(first) or not len(second):
        return np.full(len(first), -1, np.int64)
    return pair(np.maximum(overlaps(first, second), nearness(first, second)), least)


def _boxes(faces: Sequence[Face]) -> NDArray[np.float32]:
    return np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)
