"""Interlaced frames: each field is a moment of its own, seen and edited as a picture of its own.

A field is shown at the full height, its missing lines lying between their neighbours; what is
written goes to its own lines alone. Not for: progressive frames (`farm.media.frame`), or turning
fields into frames (`farm.media.reshape`).
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from farm.media.blend import Mask, Pixels
from farm.media.frame import EditableFrame
from farm.media.orientation import Box
from farm.media.stream import ColorTags
from farm.media.warp import Matrix, then


def editable(
    frame: av.VideoFrame, *, rotation: int = 0, flipped: bool = False, color: ColorTags
) -> EditableFrame:
    """The frame for editing, in fields where it is flagged as interlaced.

    Raises:
        MediaError: The pixel format cannot be edited.
    """
    kind = InterlacedFrame if frame.interlaced_frame else EditableFrame
    return kind(frame, rotation=rotation, flipped=flipped, color=color)


class InterlacedFrame(EditableFrame):
    """A frame of two fields.

    Chroma of a field lies on every other line of chroma, so regions are snapped to blocks of four
    lines where chroma has half the lines.
    """

    @property
    def pictures(self) -> tuple[EditableFrame, ...]:
        """Its two fields, the upper lines first; itself where its height cannot be split."""
        if self._rows % (2 * self._layout.grid[1]):
            return (self,)
        return FieldPicture(self, 0), FieldPicture(self, 1)


class FieldPicture(EditableFrame):
    """One field of a frame, as a picture of the frame's full size."""

    def __init__(self, frame: InterlacedFrame, field: int) -> None:
        """Show `field` of a frame: 0 has the upper lines, 1 the lower ones."""
        self._frame = frame._frame
        self._rotation, self._flipped = frame._rotation, frame._flipped
        self._layout, self._convert = frame._layout, frame._convert
        self._rows = frame._rows // 2
        self._views = None
        self._touched = False
        self._whole = frame
        self._field = field

    @property
    def whole(self) -> EditableFrame:
        """The frame that this is a field of."""
        return self._whole

    @property
    def width(self) -> int:
        """Width of the whole upright picture, in pixels."""
        return self._whole.width

    @property
    def height(self) -> int:
        """Height of the whole upright picture, in pixels."""
        return self._whole.height

    def read_bgr(self, box_xyxy: Box) -> tuple[NDArray[np.uint8], Box]:
        """Copy of a region, its missing lines made of their neighbours; see `EditableFrame`."""
        region, half = super().read_bgr(self._halved(box_xyxy))
        lines = region if self._axis == 0 else region.transpose(1, 0, 2)
        full = _spread(lines, self._parity)
        turned = full if self._axis == 0 else full.transpose(1, 0, 2)
        return np.ascontiguousarray(turned), self._doubled(half)

    def write_bgr(self, region_bgr: NDArray[np.uint8], mask: Mask, box_xyxy: Box) -> None:
        """Blend every other line of a region into the lines of this field."""
        size = (box_xyxy[3] - box_xyxy[1], box_xyxy[2] - box_xyxy[0])
        if region_bgr.shape != (*size, 3) or mask.shape != size:
            raise ValueError(f"region {region_bgr.shape}, mask {mask.shape} for box {box_xyxy}")
        low, high = self._axis_range(box_xyxy)
        first = (self._parity - low) % 2
        mine = slice(first, None, 2)
        pick = (mine, slice(None)) if self._axis == 0 else (slice(None), mine)
        start = (low + first) // 2
        stop = start + len(range(low + first, high, 2))
        if start < stop:
            region = np.ascontiguousarray(region_bgr[pick])
            lines: Mask = mask[pick].copy()
            super().write_bgr(region, lines, self._with_range(box_xyxy, start, stop))

    @property
    def _to_upright(self) -> Matrix:
        """From pixels of the field, whose lines are every other one, to the upright picture's."""
        lines = np.array([[1.0, 0, 0], [0, 2, self._field]])
        return then(lines, super()._to_upright)

    @property
    def _axis(self) -> int:
        """Axis of the upright picture along which the stored lines follow each other."""
        return 0 if self._rotation in (0, 180) else 1

    @property
    def _parity(self) -> int:
        """Which of two neighbouring upright lines is of this field."""
        # Counter-clockwise by 90 puts the first stored line at the left, by 270 at the right.
        backwards = self._rotation in (180, 270)
        return 1 - self._field if backwards else self._field

    def _planes(self) -> list[Pixels]:
        return [plane[self._field :: 2] for plane in self._whole._planes()]

    def _make_writable(self) -> None:
        self._whole._make_writable()
        self._whole._touched = True

    def _axis_range(self, box: Box) -> tuple[int, int]:
        return (box[1], box[3]) if self._axis == 0 else (box[0], box[2])

    def _with_range(self, box: Box, start: int, stop: int) -> Box:
        left, top, right, bottom = box
        return (left, start, right, stop) if self._axis == 0 else (start, top, stop, bottom)

    def _halved(self, box: Box) -> Box:
        low, high = self._axis_range(box)
        return self._with_range(box, low // 2, -(-high // 2))

    def _doubled(self, box: Box) -> Box:
        low, high = self._axis_range(box)
        return self._with_range(box, 2 * low, 2 * high)


def _spread(lines: NDArray[np.uint8], parity: int) -> NDArray[np.uint8]:
    """[2h, w, c] with the lines given at their places, the others between their neighbours."""
    full = np.repeat(lines, 2, axis=0)
    between = (lines[:-1].astype(np.uint16) + lines[1:] + 1) // 2
    if parity == 0:
        full[1:-1:2] = between
    else:
        full[2::2] = between
    return full
