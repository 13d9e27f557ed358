"""A frame that stays on a device, of which only what is read or changed comes to memory.

It is an `EditableFrame` over a mirror in memory, in the stream's own format, so that all arithmetic
is the same and gives the same bits. The mirror is filled tile by tile as something looks at it;
what was changed goes back when the encoder asks for the frame.
Not for: how samples travel (`farm.media.frame_device`).
"""

from __future__ import annotations

from collections.abc import Iterator

import av
import cv2
import numpy as np

from farm.media.blend import Pixels
from farm.media.frame import EditableFrame
from farm.media.frame_device import FrameDevice
from farm.media.orientation import Box
from farm.media.planes import in_size
from farm.media.reference import second_reference
from farm.media.stream import ColorTags

_TILE_PX = 64
_MARGIN_PX = 16
"""What is read of one component mostly needs a little more of the others."""
_Tiles = tuple[slice, slice]


class DeviceFrame(EditableFrame):
    """A frame on a device that is read and edited as one in memory."""

    def __init__(
        self,
        frame: av.VideoFrame,
        device: FrameDevice,
        *,
        rotation: int = 0,
        flipped: bool = False,
        color: ColorTags,
    ) -> None:
        """Wrap a frame that lies on `device`; nothing travels before somebody looks."""
        super().__init__(device.like(frame), rotation=rotation, flipped=flipped, color=color)
        self._there = frame
        self._device = device
        self._color = color
        tiles = (-(-frame.height // _TILE_PX), -(-frame.width // _TILE_PX))
        self._here = np.zeros(tiles, bool)
        """Tiles that the mirror holds."""
        self._changed = np.zeros(tiles, bool)
        """Those among them that are not the same on the device."""

    @property
    def stays(self) -> FrameDevice:
        """Where the frame stays."""
        return self._device

    @property
    def video_frame(self) -> av.VideoFrame:
        """The whole frame in memory, with all edits."""
        self._bring((0, 0, self._frame.width, self._frame.height))
        return self._frame

    def on_device(self) -> av.VideoFrame:
        """The frame on the device, with all edits; one that nothing changed as it was decoded.

        Raises:
            DeviceError: The device failed.
        """
        for box in self._changed_boxes():
            self._bring(box)
            self._device.put(self._there, box, [self._mirrored(i, box) for i in range(3)])
        self._changed[:] = False
        return self._there

    def copied(self) -> EditableFrame:
        """A copy in memory of the frame as it is now."""
        twin = EditableFrame(
            second_reference(self.video_frame),
            rotation=self._rotation,
            flipped=self._flipped,
            color=self._color,
        )
        twin._frame.make_writable()
        twin._touched = self._touched
        return twin

    def fill_black(self) -> None:
        """Black out the whole picture, in its own range."""
        self._here[:] = self._changed[:] = True
        super().fill_black()

    def _window(self, index: int, rows: slice, columns: slice) -> Pixels:
        component = self._layout.components[index]
        left, right = columns.start * component.sub_x, columns.stop * component.sub_x
        top, bottom = rows.start * component.sub_y, rows.stop * component.sub_y
        self._bring((left, top, right, bottom))
        return super()._window(index, rows, columns)

    def _part_to_change(self, index: int, stored: Box) -> Pixels:
        part = super()._part_to_change(index, stored)
        self._changed[_tiles_of(stored)] = True
        return part

    def _all_shrunk(self, count: int, size: tuple[int, int]) -> list[Pixels]:
        """As in memory; what the device averages to the same bits is averaged there."""
        if self._here.all():
            return super()._all_shrunk(count, size)
        found = self._device.averaged(self.on_device(), size, count)
        return [each if each.shape == size[::-1] else in_size(each, size) for each in found]

    def _bring(self, box: Box) -> None:
        """See that the mirror holds a box of the stored picture."""
        if self._here[_tiles_of(box)].all():
            return
        left, top, right, bottom = box
        wide = (left - _MARGIN_PX, top - _MARGIN_PX, right + _MARGIN_PX, bottom + _MARGIN_PX)
        rows, columns = _tiles_of(wide)
        lacking = ~self._here[rows, columns]
        ys, xs = np.nonzero(lacking)
        tiles = (
            slice(rows.start + int(ys.min()), rows.start + int(ys.max()) + 1),
            slice(columns.start + int(xs.min()), columns.start + int(xs.max()) + 1),
        )
        whole = self._box_of(tiles)
        samples = self._device.read(self._there, whole)
        for place in self._lacking(tiles):
            for index, found in enumerate(samples):
                self._mirrored(index, place)[...] = self._inside(index, found, place, whole)
        self._here[tiles] = True

    def _lacking(self, tiles: _Tiles) -> Iterator[Box]:
        """Boxes of tiles that the mirror does not hold; one box where it holds none of them."""
        lacking = ~self._here[tiles]
        if lacking.all():
            yield self._box_of(tiles)
            return
        for y, x in zip(*np.nonzero(lacking), strict=True):
            row, column = tiles[0].start + int(y), tiles[1].start + int(x)
            yield self._box_of((slice(row, row + 1), slice(column, column + 1)))

    def _changed_boxes(self) -> Iterator[Box]:
        """Boxes around neighbouring tiles that were changed."""
        count, _, stats, _ = cv2.connectedComponentsWithStats(self._changed.view(np.uint8))
        for x, y, wide, high in stats[1:count, :4].tolist():
            yield self._box_of((slice(y, y + high), slice(x, x + wide)))

    def _box_of(self, tiles: _Tiles) -> Box:
        rows, columns = tiles
        right = min(columns.stop * _TILE_PX, self._frame.width)
        bottom = min(rows.stop * _TILE_PX, self._frame.height)
        return columns.start * _TILE_PX, rows.start * _TILE_PX, right, bottom

    def _mirrored(self, index: int, box: Box) -> Pixels:
        """View of one component of the mirror inside an even box."""
        component = self._layout.components[index]
        left, top, right, bottom = box
        rows = slice(top // component.sub_y, bottom // component.sub_y)
        return self._planes()[index][rows, left // component.sub_x : right // component.sub_x]

    def _inside(self, index: int, samples: Pixels, place: Box, whole: Box) -> Pixels:
        """Those samples of `whole` that lie in `place`."""
        component = self._layout.components[index]
        left, right = ((side - whole[0]) // component.sub_x for side in place[::2])
        top, bottom = ((side - whole[1]) // component.sub_y for side in place[1::2])
        return samples[top:bottom, left:right]


def _tiles_of(box: Box) -> _Tiles:
    """Tiles that a box touches; it may reach over the border."""
    left, top, right, bottom = box
    return (
        slice(max(0, top) // _TILE_PX, -(-bottom // _TILE_PX)),
        slice(max(0, left) // _TILE_PX, -(-right // _TILE_PX)),
    )
