"""The samples of a decoded frame, component by component, as views of its own memory.

Not for: turning, converting or blending them (`farm.media.frame`).
"""

from __future__ import annotations

import ctypes

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.blend import Pixels
from farm.media.layout import layout_of
from farm.media.orientation import Box


class FramePlanes:
    """A frame as it is stored (not turned), read by component.

    Boxes are (left, top, right, bottom). The frame belongs to this object: nobody else may hold
    views of its planes.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        """Wrap `frame`; nothing is copied before the first write.

        Raises:
            MediaError: The pixel format cannot be edited; see `editable_pix_fmt`.
        """
        self._frame = frame
        self._rows = frame.height
        self._layout = layout_of(frame.format.name)
        self._views: list[Pixels] | None = None
        self._touched = False

    @property
    def _count(self) -> int:
        return len(self._layout.components)

    def _snap(self, stored: Box) -> Box:
        """The stored box grown to whole chroma samples, clipped to the picture."""
        grid_x, grid_y = self._layout.grid
        left, top = stored[0] // grid_x * grid_x, stored[1] // grid_y * grid_y
        right = min(-(-stored[2] // grid_x) * grid_x, self._frame.width)
        return left, top, right, min(-(-stored[3] // grid_y) * grid_y, self._rows)

    def _planes(self) -> list[Pixels]:
        """Views of every component over the whole picture, [rows, columns] of native samples."""
        if self._views is None:
            self._views = [component_view(self._frame, i) for i in range(self._count)]
        return self._views

    def _window(self, index: int, rows: slice, columns: slice) -> Pixels:
        """View of some samples of one component; whatever is read or written goes through here."""
        return self._planes()[index][rows, columns]

    def _part(self, index: int, stored: Box) -> Pixels:
        """View of one component inside a box on the chroma grid."""
        component = self._layout.components[index]
        left, top, right, bottom = stored
        rows = slice(top // component.sub_y, -(-bottom // component.sub_y))
        columns = slice(left // component.sub_x, -(-right // component.sub_x))
        return self._window(index, rows, columns)

    def _part_to_change(self, index: int, stored: Box) -> Pixels:
        """The same to write into."""
        return self._part(index, stored)

    def _component_size(self, index: int) -> tuple[int, int]:
        """Columns and rows of one component."""
        component = self._layout.components[index]
        return -(-self._frame.width // component.sub_x), -(-self._rows // component.sub_y)

    def _sample(self, index: int, stored: Box) -> Pixels:
        """Samples of one component for every pixel of a box on the chroma grid."""
        component = self._layout.components[index]
        part = self._value(self._part(index, stored))
        if component.sub_x == component.sub_y == 1:
            return part
        size = (part.shape[1] * component.sub_x, part.shape[0] * component.sub_y)
        wide = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
        return np.ascontiguousarray(wide[: stored[3] - stored[1], : stored[2] - stored[0]])

    def _value(self, part: Pixels) -> Pixels:
        """Contiguous samples without unused low bits."""
        if self._layout.shift:
            return np.asarray(part >> np.uint16(self._layout.shift), np.uint16)
        return np.ascontiguousarray(part)

    def _scaled(self, max_side_px: int | None, count: int | None = None) -> list[Pixels]:
        """Samples of the first `count` components of the whole picture, scaled down to a side."""
        width, height = self._frame.width, self._frame.height
        whole = (0, 0, width, self._rows)
        indices = range(count or self._count)
        ratio = 1.0 if max_side_px is None else min(1.0, max_side_px / max(width, height))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        if size == (width, self._rows):
            return [self._sample(i, whole) for i in indices]
        return self._all_shrunk(len(indices), size)

    def _all_shrunk(self, count: int, size: tuple[int, int]) -> list[Pixels]:
        """Samples of the first `count` components of the whole picture, in another size."""
        return [self._shrunk(i, size) for i in range(count)]

    def _shrunk(self, index: int, size: tuple[int, int]) -> Pixels:
        """Samples of one component of the whole picture, in another size."""
        part = self._value(self._part(index, (0, 0, self._frame.width, self._rows)))
        return in_size(part, size)

    def _is_chroma(self, index: int) -> bool:
        component = self._layout.components[index]
        return component.sub_x > 1 or component.sub_y > 1

    def _make_writable(self) -> None:
        if not self._touched:
            self._views = None
            self._frame.make_writable()


def in_size(part: Pixels, size: tuple[int, int]) -> Pixels:
    """Samples of a whole component in another size (columns, rows)."""
    smaller = size[0] <= part.shape[1] and size[1] <= part.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(part, size, interpolation=way)


def component_view(frame: av.VideoFrame, index: int) -> Pixels:
    """View of one component of an editable frame, [rows, columns] of native samples."""
    layout = layout_of(frame.format.name)
    component = layout.components[index]
    rows, columns = -(-frame.height // component.sub_y), -(-frame.width // component.sub_x)
    lines = plane_lines(frame, component.plane).view(layout.dtype)
    end = component.offset + (columns - 1) * component.step + 1
    return lines[:rows, component.offset : end : component.step]


def plane_lines(frame: av.VideoFrame, plane: int) -> NDArray[np.uint8]:
    """View of one plane's memory, [rows, bytes per row] with padding, top row first."""
    data = frame.planes[plane]
    if data.line_size > 0:
        return np.asarray(memoryview(data)).reshape(data.height, data.line_size)
    # A frame that is stored bottom up: its pointer is the top row, which lies last in memory.
    row_bytes = -data.line_size
    start = data.buffer_ptr - row_bytes * (data.height - 1)
    memory = (ctypes.c_uint8 * (row_bytes * data.height)).from_address(start)
    return np.ctypeslib.as_array(memory).reshape(data.height, row_bytes)[::-1]


def plane_samples(frame: av.VideoFrame, plane: int) -> NDArray[np.uint8]:
    """View of one plane, [rows, bytes], without the padding of its lines."""
    data, form = frame.planes[plane], frame.format
    here = [each for each in form.components if each.plane == plane]
    if len(frame.planes) == 1:
        used = (frame.width * form.padded_bits_per_pixel + 7) // 8
    elif here:
        used = data.width * sum((each.bits + 7) // 8 for each in here)
    else:
        used = data.line_size
    return plane_lines(frame, plane)[:, : min(used, abs(data.line_size))]
