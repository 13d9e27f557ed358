"""The faces of a segment: detection on some frames, following between, recognition where asked.

A segment runs from one anchor frame to the next. What is seen in it depends on its own frames
alone, so that it does not matter how a clip is cut into chunks. Where the way of a face between
two searched frames is not clear, a frame between them is searched as well.
Not for: tracks over segments (`farm.faces.track`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.detect import FaceDetector, detect_faces
from farm.faces.face import Face
from farm.faces.follow import SIDE_PX, Flow, follow
from farm.faces.geometry import pair_boxes
from farm.faces.recognise import Recogniser
from farm.faces.table import Origin
from farm.media.frame import EditableFrame

LEAST_SEGMENT = 12
"""Frames between anchors, at least."""
_THUMB_PX = 48
_CELLS = (6, 4)
_BINS = 8
_CUT = 0.45
"""Share of the picture that must look different for a cut; fast motion stays below it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What was seen in one frame."""

    faces: tuple[Face, ...]
    origin: Origin
    cut_after: bool = False
    """Whether the next frame begins another shot."""


def segment_frames(detect_every: int) -> int:
    """Frames from one anchor to the next: a multiple of the distance of detections."""
    return detect_every * math.ceil(LEAST_SEGMENT / detect_every)


class Observer:
    """Looks at segments; belongs to one thread."""

    def __init__(
        self, detector: FaceDetector, recogniser: Recogniser | None, detect_every: int
    ) -> None:
        self._detector = detector
        self._recogniser = recogniser
        self._every = detect_every
        self._anchor: tuple[EditableFrame, tuple[Face, ...]] | None = None
        """The anchor that closed the last segment, which opens the next one."""

    def look(self, frames: Sequence[EditableFrame], *, closed: bool) -> list[Sight]:
        """See the faces of a segment.

        Args:
            frames: From an anchor on, in order.
            closed: Whether the last frame is the next anchor, which is not the segment's own.

        Returns:
            A sight of each frame of its own.
        """
        own = len(frames) - closed
        cuts = _cuts(frames)
        if self._every == 1:
            found = self._search(frames[:own])
            sights = [Sight(faces=faces, origin=Origin.DETECTED) for faces in found]
        else:
            sights = self._follow(frames, cuts)[:own]
        embedded = self._embedded(frames[:own], sights) if self._recogniser else sights
        return [replace(each, cut_after=i in cuts) for i, each in enumerate(embedded)]

    def _follow(self, frames: Sequence[EditableFrame], cuts: set[int]) -> list[Sight]:
        """Search the anchors, follow between them, and search where following is not clear."""
        flow = Flow([frame.pictures[0].read_luma(SIDE_PX) for frame in frames])
        ratio = min(1.0, SIDE_PX / max(frames[0].width, frames[0].height))
        last = len(frames) - 1
        asked = {*range(0, last, self._every), last, *cuts, *(cut + 1 for cut in cuts)}
        searched = self._known(frames[0])
        asked -= searched.keys()
        between: dict[int, list[Face]] = {}
        while asked:
            wanted = sorted(asked)
            found = self._search([frames[i] for i in wanted])
            searched.update(zip(wanted, found, strict=True))
            asked = set()
            known = sorted(searched)
            for start, stop in pairwise(known):
                if stop - start < 2 or start + 1 in between:
                    continue
                way = follow(flow, ratio, start, stop, searched[start], searched[stop])
                if way is None:
                    asked.add((start + stop) // 2)
                else:
                    between.update(enumerate(way, start + 1))
        self._anchor = (frames[-1], searched[last])
        return [
            Sight(faces=searched[i], origin=Origin.DETECTED)
            if i in searched
            else Sight(faces=tuple(between[i]), origin=Origin.TRACKED)
            for i in range(len(frames))
        ]

    def _search(self, frames: Sequence[EditableFrame]) -> list[tuple[Face, ...]]:
        """Faces of each frame; those of two fields are put together."""
        pictures = [frame.pictures for frame in frames]
        found = iter(detect_faces(self._detector, [each for of in pictures for each in of]))
        return [_of_fields([next(found) for _ in of_frame]) for of_frame in pictures]

    def _known(self, first: EditableFrame) -> dict[int, tuple[Face, ...]]:
        """The faces of the first frame, where it was searched as the last of a segment."""
        known = self._anchor
        return {0: known[1]} if known and known[0] is first else {}

    def _embedded(self, frames: Sequence[EditableFrame], sights: Sequence[Sight]) -> list[Sight]:
        """Recognise the faces of the anchor, and others where they first appear."""
        done: list[Sight] = []
        before: tuple[Face, ...] = ()
        for frame, sight in zip(frames, sights, strict=True):
            new = _new_faces(before, sight.faces)
            done.append(self._recognised(frame.pictures[0], sight, new) if new else sight)
            before = sight.faces
        return done

    def _recognised(self, frame: EditableFrame, sight: Sight, places: Sequence[int]) -> Sight:
        """The sight with embeddings of some of its faces."""
        assert self._recogniser is not None
        faces = list(sight.faces)
        vectors = self._recogniser.embed(frame, [faces[i] for i in places])
        for i, vector in zip(places, vectors, strict=True):
            faces[i] = replace(faces[i], embedding=vector)
        return replace(sight, faces=tuple(faces))


def _of_fields(fields: Sequence[tuple[Face, ...]]) -> tuple[Face, ...]:
    """The faces of a frame; a box covers the face in both of its fields."""
    faces = list(fields[0])
    for others in fields[1:]:
        partner = pair_boxes(_boxes(others), _boxes(faces))
        for other, place in zip(others, partner, strict=True):
            if place < 0:
                faces.append(other)
            else:
                low = np.minimum(faces[place].box_xyxy[:2], other.box_xyxy[:2])
                high = np.maximum(faces[place].box_xyxy[2:], other.box_xyxy[2:])
                faces[place] = replace(faces[place], box_xyxy=np.concatenate([low, high]))
    return tuple(faces)


def _boxes(faces: Sequence[Face]) -> NDArray[np.float32]:
    """[n, 4] boxes of faces."""
    return np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)


def _new_faces(before: Sequence[Face], faces: Sequence[Face]) -> list[int]:
    """Places of the faces that were not there in the frame before."""
    return [int(i) for i in np.flatnonzero(pair_boxes(_boxes(faces), _boxes(before)) < 0)]


def _cuts(frames: Sequence[EditableFrame]) -> set[int]:
    """Places of the frames behind which another shot begins."""
    looks = [_look(frame.read_luma(_THUMB_PX)) for frame in frames]
    pairs = pairwise(looks)
    return {i for i, (one, other) in enumerate(pairs) if _difference(one, other) > _CUT}


def _look(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[cells, bins] share of each brightness in each cell of a small picture."""
    size = (_CELLS[0] * 8, _CELLS[1] * 8)
    small = cv2.resize(thumb, size, interpolation=cv2.INTER_AREA)
    cells = small.reshape(_CELLS[1], 8, _CELLS[0], 8).swapaxes(1, 2).reshape(-1, 64)
    bins = cells // (256 // _BINS)
    return np.stack([(bins == each).mean(axis=1) for each in range(_BINS)], axis=1).astype(
        np.float32
    )


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Share of the picture whose brightness is another one, 0 to 1."""
    return float(np.abs(one - other).sum(axis=1).mean() / 2)
