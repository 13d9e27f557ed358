"""A decoded frame that is edited in place, in the decoder's own pixel format.

Only regions are converted to BGR, and only samples under a mask are written back, so that every
other sample stays what the decoder gave, bit for bit.
Not for: decoding, encoding, or converting whole frames to another pixel format for output.
"""

from __future__ import annotations

import copy

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.blend import (
    Mask,
    Pixels,
    blend,
    block_max,
    block_mean,
    block_samples,
    mask_weights,
)
from farm.media.convert import BgrPixels, conversion_for
from farm.media.layout import ColorModel
from farm.media.orientation import (
    Box,
    box_to_stored,
    box_to_upright,
    check_rotation,
    turn_stored,
    turn_upright,
    upright_size,
)
from farm.media.planes import FramePlanes
from farm.media.reference import second_reference
from farm.media.stream import ColorTags
from farm.media.warp import (
    Matrix,
    averaged,
    inverse,
    moved_origin,
    resized,
    sample,
    target_box,
    then,
    warp,
)
from farm.media.warp import stored_to_upright as upright_matrix

_BAND_ROWS = 64
"""A multiple of every chroma grid."""


class EditableFrame(FramePlanes):
    """A frame whose regions are read and written as the upright picture that a player shows.

    Boxes are (left, top, right, bottom) in pixels of the upright picture, right and bottom
    exclusive. The frame belongs to this object: nobody else may hold views of its planes.
    Not thread-safe.
    """

    def __init__(
        self,
        frame: av.VideoFrame,
        *,
        rotation: int = 0,
        flipped: bool = False,
        color: ColorTags,
    ) -> None:
        """Wrap `frame`; nothing is copied before the first write.

        `rotation` and `flipped` are those of `StreamParameters`.

        Raises:
            MediaError: The pixel format cannot be edited; see `editable_pix_fmt`.
            ValueError: The rotation is no multiple of 90.
        """
        super().__init__(frame)
        self._rotation = check_rotation(rotation)
        self._flipped = flipped
        self._convert = conversion_for(self._layout, color, frame.width, frame.height)

    @property
    def video_frame(self) -> av.VideoFrame:
        """The frame with all edits, as stored (not turned)."""
        return self._frame

    @property
    def pictures(self) -> tuple[EditableFrame, ...]:
        """What faces are looked for in: the frame itself, or its two fields, each a moment."""
        return (self,)

    @property
    def whole(self) -> EditableFrame:
        """The frame that this is, or that this is a field of."""
        return self

    def copied(self) -> EditableFrame:
        """A copy of the frame as it is now; edits of one do not show in the other."""
        twin = copy.copy(self)
        twin._frame = second_reference(self._frame)
        twin._frame.make_writable()
        twin._views = None
        return twin

    @property
    def width(self) -> int:
        """Width of the upright picture, in pixels."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Height of the upright picture, in pixels."""
        return self._size[1]

    @property
    def touched(self) -> bool:
        """Whether anything was written."""
        return self._touched

    def read_bgr(self, box_xyxy: Box) -> tuple[NDArray[np.uint8], Box]:
        """Copy of a region and the box that it really covers.

        The box is snapped outwards to the chroma grid and clipped to the picture. The region is
        [h, w, 3] uint8 BGR, C-contiguous; each chroma sample is repeated over the pixels it covers.

        Raises:
            ValueError: The box lies outside the picture or is empty.
        """
        stored = self._snap(self._stored_box(self._clip(box_xyxy)))
        region = self._convert.bgr([self._sample(i, stored) for i in range(self._count)])
        used = box_to_upright(stored, self._frame.width, self._rows, self._rotation, self._flipped)
        return np.ascontiguousarray(self._upright(region)), used

    def write_bgr(self, region_bgr: NDArray[np.uint8], mask: Mask, box_xyxy: Box) -> None:
        """Blend a region into the picture, in the frame's own format and bit depth.

        `region_bgr` is [h, w, 3] uint8 BGR and `mask` [h, w], uint8 0..255 or float32 0..1; both
        have the size of the box, which need not lie on the chroma grid and may reach over the
        border. A luma or RGB sample changes only where the mask is above zero; full mask replaces
        it, without a trace of the old value. A chroma sample takes the greatest mask of the pixels
        it covers; where that is full, its new value comes from the fully masked pixels alone.
        Alpha never changes.

        Raises:
            ValueError: Region, mask and box differ in size, or the mask has another type.
        """
        left, top, right, bottom = box_xyxy
        size = (bottom - top, right - left)
        if region_bgr.shape != (*size, 3) or mask.shape != size:
            raise ValueError(f"region {region_bgr.shape}, mask {mask.shape} for box {box_xyxy}")
        weights = mask_weights(mask)
        inside = self._clip(box_xyxy, allow_empty=True)
        if inside[0] >= inside[2] or inside[1] >= inside[3] or not cv2.hasNonZero(weights):
            return
        rows = slice(inside[1] - top, inside[3] - top)
        columns = slice(inside[0] - left, inside[2] - left)
        self._write_stored(
            turn_stored(region_bgr[rows, columns], self._rotation, self._flipped),
            turn_stored(weights[rows, columns], self._rotation, self._flipped),
            self._stored_box(inside),
        )

    def read_warped(
        self, matrix: Matrix, size_px: int, *, black_outside: bool = False
    ) -> NDArray[np.uint8]:
        """An affine part of the picture, new [size, size, 3] uint8 BGR, C-contiguous.

        Samples are moved before they are converted, so a large part costs little more than a small
        one. `matrix` is [2, 3], from pixels of the upright picture to those of the part. Outside
        the picture lies its nearest pixel, or black.
        """
        wanted = then(self._to_upright, matrix)
        samples = [self._read_part(i, wanted, size_px, black_outside) for i in range(self._count)]
        return np.ascontiguousarray(self._convert.bgr(samples))

    def write_warped(self, new_bgr: BgrPixels, mask: NDArray[np.float32], matrix: Matrix) -> None:
        """Blend an affine part into the picture, in the frame's own format and bit depth.

        `new_bgr` is [h, w, 3] BGR, 0..255, uint8 or float32, whose fractions deep formats keep.
        `mask` is [rows, columns] float32 over the same part, 0..1, and 0 at its border. `matrix` is
        from pixels of the upright picture to those of `new_bgr`. A sample changes only where the
        mask is above zero; a chroma sample takes the mean mask of the pixels that it covers. Alpha
        never changes.
        """
        stored = then(inverse(matrix), inverse(self._to_upright))
        rows, columns = mask.shape
        of_mask = then(resized(new_bgr.shape[1] / columns, new_bgr.shape[0] / rows), stored)
        box = self._reached_box(mask, of_mask)
        if box is None:
            return
        planes = [
            self._to_component(index, plane, stored)
            for index, plane in enumerate(self._convert.native(new_bgr))
        ]
        few, of_mask = averaged(mask, of_mask)
        # Bands stay in the processor's cache, and skip what lies beside the mask.
        for top in range(box[1], box[3], _BAND_ROWS):
            band = (box[0], top, box[2], min(top + _BAND_ROWS, box[3]))
            self._write_band(planes, few, of_mask, band)

    def to_bgr(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """The whole upright picture as new [h, w, 3] uint8 BGR.

        With `max_side_px` it is scaled down (area average, never up) so that no side is longer.
        """
        return np.ascontiguousarray(self._upright(self._convert.bgr(self._scaled(max_side_px))))

    def read_luma(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """Brightness of the upright picture, new [h, w] uint8, 0..255; scaled as `to_bgr`."""
        count = self._count if self._layout.model is ColorModel.RGB else 1
        samples = self._scaled(max_side_px, count)
        return np.ascontiguousarray(self._upright(self._convert.gray(samples)))

    def fill_black(self) -> None:
        """Black out the whole picture, in its own range; alpha stays."""
        self._make_writable()
        for index, black in enumerate(self._convert.black):
            self._planes()[index][...] = black << self._layout.shift
        self._touched = True

    @property
    def _size(self) -> tuple[int, int]:
        """Upright width and height of the rows that are edited here."""
        return upright_size(self._frame.width, self._rows, self._rotation)

    def _upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(turn_upright(pixels, self._rotation, self._flipped), np.uint8)

    def _clip(self, box_xyxy: Box, *, allow_empty: bool = False) -> Box:
        left, top, right, bottom = (int(v) for v in box_xyxy)
        width, height = self._size
        box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if not allow_empty and (box[0] >= box[2] or box[1] >= box[3]):
            raise ValueError(f"box {box_xyxy} holds nothing of a {width}x{height} picture")
        return box

    def _stored_box(self, box_xyxy: Box) -> Box:
        width = self._frame.width
        return box_to_stored(box_xyxy, width, self._rows, self._rotation, self._flipped)

    @property
    def _to_upright(self) -> Matrix:
        """From pixels of the stored picture to those of the upright one."""
        frame = self._frame
        return upright_matrix(frame.width, frame.height, self._rotation, self._flipped)

    def _read_part(self, index: int, wanted: Matrix, size_px: int, black_outside: bool) -> Pixels:
        """Samples of one component for every pixel of a part."""
        component, (columns, rows) = self._layout.components[index], self._component_size(index)
        matrix = then(resized(component.sub_x, component.sub_y), wanted)
        size = (size_px, size_px)
        left, top, right, bottom = target_box(inverse(matrix), (0, 0, size_px, size_px))
        # Where the part lies outside, there is still a nearest sample.
        left, right = min(max(left, 0), columns - 1), max(min(right, columns), 1)
        top, bottom = min(max(top, 0), rows - 1), max(min(bottom, rows), 1)
        samples = self._value(self._window(index, slice(top, bottom), slice(left, right)))
        border = float(self._convert.black[index]) if black_outside else None
        return warp(samples, then(moved_origin(-left, -top), matrix), size, border)

    def _reached_box(self, mask: NDArray[np.float32], of_mask: Matrix) -> Box | None:
        """The part of the stored picture that a mask reaches, on the chroma grid; None for none."""
        x, y, wide, high = cv2.boundingRect((mask > 0).view(np.uint8))
        box = target_box(of_mask, (x, y, x + wide, y + high))
        left, top = max(box[0], 0), max(box[1], 0)
        right, bottom = min(box[2], self._frame.width), min(box[3], self._rows)
        inside = wide and left < right and top < bottom
        return self._snap((left, top, right, bottom)) if inside else None

    def _to_component(self, index: int, plane: Pixels, stored: Matrix) -> tuple[Pixels, Matrix]:
        """One component's samples of a part, and their way to the component of the frame."""
        component = self._layout.components[index]
        return averaged(plane, then(stored, resized(1 / component.sub_x, 1 / component.sub_y)))

    def _write_band(
        self,
        planes: list[tuple[Pixels, Matrix]],
        mask: NDArray[np.float32],
        of_mask: Matrix,
        box: Box,
    ) -> None:
        """Blend a part into a box, on the chroma grid, of the stored picture."""
        left, top, right, bottom = box
        size = (right - left, bottom - top)
        weights = sample(mask, then(of_mask, moved_origin(left, top)), size, border=0.0)
        x, _, wide, _ = cv2.boundingRect((weights > 0).view(np.uint8))
        if not wide:
            return
        self._make_writable()
        self._touched = True
        left, _, right, _ = self._snap((left + x, top, left + x + wide, bottom))
        weights = weights[:, left - box[0] : right - box[0]]
        for index, (plane, matrix) in enumerate(planes):
            component = self._layout.components[index]
            target = self._part_to_change(index, (left, top, right, bottom))
            columns, rows = target.shape[1], target.shape[0]
            origin = moved_origin(left // component.sub_x, top // component.sub_y)
            new = sample(plane, then(matrix, origin), (columns, rows))
            means = block_mean(weights, (component.sub_x, component.sub_y), (columns, rows))
            blend(target, new, means, self._layout.shift)

    def _write_stored(self, region_bgr: Pixels, weights: Pixels, stored: Box) -> None:
        """Blend a region that lies inside the stored picture."""
        self._make_writable()
        self._touched = True
        grid_x, grid_y = self._layout.grid
        box = self._snap(stored)
        border = (
            stored[1] - box[1],
            -stored[3] % grid_y,
            stored[0] - box[0],
            -stored[2] % grid_x,
        )
        if any(border):
            region_bgr = cv2.copyMakeBorder(region_bgr, *border, cv2.BORDER_REPLICATE)
            weights = cv2.copyMakeBorder(weights, *border, cv2.BORDER_CONSTANT, value=0)
        native = self._convert.native(region_bgr)
        for index, new in enumerate(native):
            if not self._is_chroma(index):
                self._blend(index, box, new, weights)
        chroma = [index for index in range(len(native)) if self._is_chroma(index)]
        if chroma:
            cells = block_max(weights, (grid_x, grid_y))
            means = block_samples([native[i] for i in chroma], weights, (grid_x, grid_y))
            for index, new in zip(chroma, means, strict=True):
                self._blend(index, box, new, cells)

    def _blend(self, index: int, box: Box, new: Pixels, weights: NDArray[np.float32]) -> None:
        """Blend samples that start at the corner of `box` into one component."""
        part = self._part_to_change(index, box)
        rows, columns = part.shape
        blend(part, new[:rows, :columns], weights[:rows, :columns], self._layout.shift)
