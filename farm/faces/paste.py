"""Taking an aligned crop out of a picture and pasting its replacement back, region by region.

Only the box around a face is read, warped and written; pixels outside the mask keep their value.
Not for: where the face lies (`farm.faces.align`) or what replaces it (`farm.processors`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.faces.align import crop_box, moved, similarity
from farm.faces.face import Face

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the upright picture; right and bottom exclusive."""


class ReadablePicture(Protocol):
    """A picture whose regions can be read (`EditableFrame`, `StillPicture`)."""

    @property
    def width(self) -> int:
        """Upright width, in pixels."""

    @property
    def height(self) -> int:
        """Upright height, in pixels."""

    def read_bgr(self, box_xyxy: Box) -> tuple[NDArray[np.uint8], Box]:
        """Copy of a region [h, w, 3] uint8 BGR, and the box that it really covers."""


class WritablePicture(ReadablePicture, Protocol):
    """A picture whose regions can be written too (`EditableFrame`)."""

    def write_bgr(
        self, region_bgr: NDArray[np.uint8], mask: NDArray[np.float32], box_xyxy: Box
    ) -> None:
        """Blend a region into the picture by its mask [h, w], 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """An aligned face and how to get back to the picture."""

    pixels_bgr: NDArray[np.uint8]
    """[size, size, 3] uint8 BGR, C-contiguous; black where it lies outside the picture."""
    matrix: NDArray[np.float64]
    """[2, 3] from pixels of the upright picture to pixels of the crop."""
    box_xyxy: Box
    """The part of the picture that the crop covers."""


def clip_box(picture: ReadablePicture, box: Box) -> Box | None:
    """The part of the box that lies in the picture; None when there is none."""
    left, top, right, bottom = box
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, picture.width), min(bottom, picture.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def take_crop(
    picture: ReadablePicture, face: Face, template_xy: NDArray[np.float64], size_px: int
) -> Crop | None:
    """The face, aligned to a template of a crop of `size_px`.

    None where the landmarks are degenerate or the crop lies outside the picture.

    Raises:
        ValueError: The face has no landmarks.
    """
    if face.landmarks_xy is None:
        raise ValueError("a face without landmarks cannot be aligned")
    matrix = similarity(face.landmarks_xy, template_xy)
    box = clip_box(picture, crop_box(matrix, size_px)) if matrix is not None else None
    if matrix is None or box is None:
        return None
    region, used = picture.read_bgr(box)
    pixels = _warp_down(region, moved(matrix, used[0], used[1]), size_px)
    return Crop(pixels_bgr=pixels, matrix=matrix, box_xyxy=box)


def paste_crop(
    picture: WritablePicture, crop: Crop, new_bgr: NDArray[np.uint8], weight: float = 1.0
) -> None:
    """Write the replacement of a crop into the picture, feathered towards the crop's border.

    Args:
        picture: The picture that the crop was taken from.
        crop: The crop.
        new_bgr: [size, size, 3] uint8 BGR, what replaces it; its size may differ from the crop's.
        weight: How much of the replacement shows, 0 to 1.
    """
    left, top, right, bottom = crop.box_xyxy
    size = (right - left, bottom - top)
    grown = crop.matrix * (new_bgr.shape[0] / crop.pixels_bgr.shape[0])
    back = moved(grown, left, top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(
        feather_mask(new_bgr.shape[0]), back, size, flags=flags, borderMode=cv2.BORDER_CONSTANT
    )
    new = cv2.warpAffine(new_bgr, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    weights = np.ascontiguousarray(mask * np.float32(weight), np.float32)
    picture.write_bgr(np.ascontiguousarray(new, np.uint8), weights, crop.box_xyxy)


@functools.cache
def feather_mask(size_px: int) -> NDArray[np.float32]:
    """[size, size] float32: 1 inside, falling smoothly to 0 over the outer 12 % of the crop."""
    places = (np.arange(size_px) + 0.5) / size_px
    ramp = np.clip(np.minimum(places, 1 - places) / 0.12, 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    mask: NDArray[np.float32] = np.outer(smooth, smooth).astype(np.float32)
    mask.setflags(write=False)
    return mask


def _warp_down(
    region_bgr: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int
) -> NDArray[np.uint8]:
    """Warp a region to a crop; a region much larger than the crop is averaged down first.

    Bilinear sampling alone would skip pixels of a large face and make the crop flicker.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    shrink = int(1 / scale) if scale > 0 else 1
    if shrink >= 2:
        height, width = region_bgr.shape[:2]
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        region_bgr = np.asarray(
            cv2.resize(region_bgr, size, interpolation=cv2.INTER_AREA), np.uint8
        )
        # A pixel's centre, not its corner, keeps its place when the picture shrinks.
        ratio = np.array([width / size[0], height / size[1]])
        matrix = np.hstack([matrix[:, :2] * ratio, _shift_centre(matrix, ratio)])
    crop = cv2.warpAffine(region_bgr, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(crop, np.uint8)


def _shift_centre(matrix: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offset of a matrix for a picture shrunk by `ratio`, [2, 1]."""
    return (matrix[:, 2] + matrix[:, :2] @ ((ratio - 1) / 2))[:, None]
