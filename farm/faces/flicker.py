"""Flicker of replaced faces, measured: how much what was changed changes from frame to frame.

A face in the source moves, turns and is lit otherwise from frame to frame; that is no flicker. So
the source is taken from the result first, in crops that are aligned by the face's landmarks, and
what is left, the change, is compared between neighbouring frames. Faces are sampled: a pair of
frames in every eight, and the frames at both borders of each chunk.
Not for: damping flicker, or judging encoders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.align import arcface_template
from farm.faces.face import Face
from farm.faces.masks import shape_mask
from farm.faces.paste import ReadablePicture, take_crop
from farm.media.warp import Matrix
from farm.paste_settings import FaceMask
from farm.report import FlickerReport

EVERY_FRAMES = 8
_SIZE_PX = 64
_MAX_FACES = 4
"""Of a frame the largest faces are looked at."""
_SAME_FACE = 0.5
"""Distance of centres, in face sizes, up to which two faces are one."""


class ReplacedFrame(Protocol):
    """What is needed of a frame on its way through the processors (`FaceFrame`)."""

    @property
    def frame(self) -> ReadablePicture:
        """The picture."""

    @property
    def selected(self) -> tuple[Face, ...]:
        """The faces that are worked on, largest first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceChange:
    """What was changed at one face of one frame."""

    centre_xy: tuple[float, float]
    size_px: float
    levels: NDArray[np.int16]
    """[64, 64] brightness of the result less that of the source, in an aligned crop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChange:
    """The changes at the faces of a frame."""

    frame: int
    faces: tuple[FaceChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFlicker:
    """What was measured in one chunk."""

    total: float = 0.0
    """Sum over the pairs of faces, in levels of 0..255."""
    pairs: int = 0
    first: FrameChange | None = None
    last: FrameChange | None = None


@dataclass(slots=True)
class _Look:
    """A face as it was before it was worked on."""

    face: Face
    matrix: Matrix
    gray: NDArray[np.int16]


@dataclass(slots=True)
class FlickerMeter:
    """Measures one chunk; told of each frame before and after it is worked on, in any order.

    Batches may be worked on at the same time, each on a thread of its own.
    """

    frame_start: int
    frame_stop: int
    """Half-open: frames outside do not count."""
    _looks: dict[int, list[_Look]] = field(default_factory=dict)
    _changes: dict[int, FrameChange] = field(default_factory=dict)

    def before(self, numbers: Sequence[int], frames: Sequence[ReplacedFrame]) -> None:
        """Look at frames whose faces are about to be replaced; of two fields at the first."""
        for number, each in zip(numbers, frames, strict=True):
            if self._wants(number) and number not in self._looks:
                self._looks[number] = _looks(each)

    def after(self, numbers: Sequence[int], frames: Sequence[ReplacedFrame]) -> None:
        """Look at the same frames again."""
        for number, each in zip(numbers, frames, strict=True):
            looks = self._looks.pop(number, None)
            if looks is not None:
                faces = tuple(_change(each.frame, look) for look in looks)
                self._changes[number] = FrameChange(frame=number, faces=faces)

    def result(self) -> ChunkFlicker:
        """What came out."""
        changes = [self._changes[number] for number in sorted(self._changes)]
        found = [value for pair in pairwise(changes) for value in between(*pair)]
        return ChunkFlicker(
            total=sum(found),
            pairs=len(found),
            first=self._changes.get(self.frame_start),
            last=self._changes.get(self.frame_stop - 1),
        )

    def _wants(self, number: int) -> bool:
        if not self.frame_start <= number < self.frame_stop:
            return False
        at_border = number in (self.frame_start, self.frame_stop - 1)
        return at_border or number % EVERY_FRAMES < 2


@dataclass(frozen=True, slots=True)
class FlickerWatch:
    """A meter that is told of one batch."""

    meter: FlickerMeter
    numbers: tuple[int, ...]
    """Source frame of each picture of the batch; two fields have one."""

    def before(self, batch: Sequence[ReplacedFrame]) -> None:
        """Look at pictures that are about to be worked on."""
        self.meter.before(self.numbers, batch)

    def after(self, batch: Sequence[ReplacedFrame]) -> None:
        """Look at them again."""
        self.meter.after(self.numbers, batch)


def between(earlier: FrameChange, later: FrameChange) -> list[float]:
    """Flicker of each face that both frames show; nothing where they are no neighbours."""
    if later.frame != earlier.frame + 1:
        return []
    weights = _weights()
    found = []
    for face in later.faces:
        before = _same(face, earlier.faces)
        if before is not None:
            change = np.abs(face.levels.astype(np.float32) - before.levels)
            found.append(float((change * weights).sum() / weights.sum()))
    return found


def flicker_in(info: Mapping[str, object]) -> ChunkFlicker:
    """What a chunk file says of its flicker; its borders cannot be measured any more."""
    found = info.get("flicker")
    return ChunkFlicker(**found) if isinstance(found, dict) else ChunkFlicker()


def report_of(chunks: Iterable[ChunkFlicker]) -> FlickerReport | None:
    """The flicker of a job from its chunks in order; None where no pair of faces was seen."""
    ordered = list(chunks)
    inside = sum(chunk.total for chunk in ordered)
    pairs = sum(chunk.pairs for chunk in ordered)
    borders = [
        value
        for left, right in pairwise(ordered)
        if left.last is not None and right.first is not None
        for value in between(left.last, right.first)
    ]
    if not pairs and not borders:
        return None
    return FlickerReport(
        inside=round(inside / pairs, 4) if pairs else 0.0,
        inside_pairs=pairs,
        borders=round(sum(borders) / len(borders), 4) if borders else 0.0,
        border_pairs=len(borders),
    )


def _looks(item: ReplacedFrame) -> list[_Look]:
    """The largest faces of a frame that can be aligned."""
    found = []
    for face in item.selected[:_MAX_FACES]:
        if face.landmarks_xy is None:
            continue
        template = arcface_template(128) / 2
        crop = take_crop(item.frame, face, template, _SIZE_PX)
        if crop is not None:
            found.append(_Look(face=face, matrix=crop.matrix, gray=_gray(crop.pixels_bgr)))
    return found


def _change(picture: ReadablePicture, look: _Look) -> FaceChange:
    left, top, right, bottom = (float(v) for v in look.face.box_xyxy)
    now = _gray(picture.read_warped(look.matrix, _SIZE_PX))
    return FaceChange(
        centre_xy=((left + right) / 2, (top + bottom) / 2),
        size_px=max(right - left, bottom - top, 1.0),
        levels=now - look.gray,
    )


def _gray(pixels_bgr: NDArray[np.uint8]) -> NDArray[np.int16]:
    return cv2.cvtColor(pixels_bgr, cv2.COLOR_BGR2GRAY).astype(np.int16)


def _same(face: FaceChange, others: Sequence[FaceChange]) -> FaceChange | None:
    """The nearest of the others, where it is near enough to be the same face."""
    reach = _SAME_FACE * face.size_px
    near = [(_distance(face, other), place) for place, other in enumerate(others)]
    best = min(near, default=None)
    return others[best[1]] if best is not None and best[0] <= reach else None


def _distance(face: FaceChange, other: FaceChange) -> float:
    return float(np.hypot(*np.subtract(face.centre_xy, other.centre_xy)))


def _weights() -> NDArray[np.float32]:
    """[64, 64]: where in a crop the face is."""
    mask = shape_mask(FaceMask.ELLIPSE, 0.15)
    small = cv2.resize(mask, (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
