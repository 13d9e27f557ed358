"""Taking an aligned crop out of a picture and pasting its replacement back, region by region.

Only the samples that a crop needs are read, and only those under its mask are written; every other
one keeps its value.
Not for: where the face lies (`farm.faces.align`), the mask (`farm.faces.masks`) or what replaces
the face (`farm.processors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.faces.align import crop_box, similarity
from farm.faces.face import Face
from farm.media.convert import BgrPixels
from farm.media.warp import Matrix, resized, then

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the upright picture; right and bottom exclusive."""


class SizedPicture(Protocol):
    """A picture of some size."""

    @property
    def width(self) -> int:
        """Upright width, in pixels."""

    @property
    def height(self) -> int:
        """Upright height, in pixels."""


class ReadablePicture(SizedPicture, Protocol):
    """A picture of which crops can be taken (`EditableFrame`, `StillPicture`)."""

    def read_warped(
        self, matrix: Matrix, size_px: int, *, black_outside: bool = False
    ) -> NDArray[np.uint8]:
        """An affine part of the picture, [size, size, 3] uint8 BGR."""


class WarpedPicture(ReadablePicture, Protocol):
    """A picture that crops can be pasted into (`EditableFrame`)."""

    def write_warped(self, new_bgr: BgrPixels, mask: NDArray[np.float32], matrix: Matrix) -> None:
        """Blend an affine part into the picture by its mask."""


class WritablePicture(ReadablePicture, Protocol):
    """A picture whose upright regions can be read and written (`EditableFrame`)."""

    def read_bgr(self, box_xyxy: Box) -> tuple[NDArray[np.uint8], Box]:
        """Copy of a region [h, w, 3] uint8 BGR, and the box that it really covers."""

    def write_bgr(
        self, region_bgr: NDArray[np.uint8], mask: NDArray[np.float32], box_xyxy: Box
    ) -> None:
        """Blend a region into the picture by its mask [h, w], 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """An aligned face and how to get back to the picture."""

    face: Face
    pixels_bgr: NDArray[np.uint8]
    """[size, size, 3] uint8 BGR, C-contiguous."""
    matrix: Matrix
    """[2, 3] from pixels of the upright picture to pixels of the crop."""

    @property
    def size_px(self) -> int:
        """Side of the crop."""
        return int(self.pixels_bgr.shape[0])

    @property
    def landmarks_xy(self) -> NDArray[np.float64]:
        """[5, 2] landmarks of the face, in pixels of the crop."""
        assert self.face.landmarks_xy is not None
        points = self.face.landmarks_xy.astype(np.float64)
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], np.float64)


def clip_box(picture: SizedPicture, box: Box) -> Box | None:
    """The part of the box that lies in the picture; None when there is none."""
    left, top, right, bottom = box
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, picture.width), min(bottom, picture.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def take_crop(
    picture: ReadablePicture,
    face: Face,
    template_xy: NDArray[np.float64],
    size_px: int,
    *,
    grow: int = 1,
    black_outside: bool = False,
) -> Crop | None:
    """The face, aligned to a template of a crop of `size_px`, and that `grow` times as fine.

    None where the landmarks are degenerate or the crop lies outside the picture. What of the crop
    lies outside is the nearest pixel of the picture, or black where a network was trained so.

    Raises:
        ValueError: The face has no landmarks.
    """
    if face.landmarks_xy is None:
        raise ValueError("a face without landmarks cannot be aligned")
    matrix = similarity(face.landmarks_xy, template_xy)
    if matrix is None or clip_box(picture, crop_box(matrix, size_px)) is None:
        return None
    if grow != 1:
        matrix, size_px = then(matrix, resized(grow, grow)), size_px * grow
    pixels = picture.read_warped(matrix, size_px, black_outside=black_outside)
    return Crop(face=face, pixels_bgr=pixels, matrix=matrix)


def paste_crop(
    picture: WarpedPicture, crop: Crop, new_bgr: BgrPixels, mask: NDArray[np.float32]
) -> None:
    """Blend the replacement of a crop into the picture.

    Args:
        picture: The picture that the crop was taken from.
        crop: The crop.
        new_bgr: [side, side, 3] BGR, what replaces it; its side may differ from the crop's.
        mask: [n, n] float32 over the crop, 0 to 1: how much of the replacement shows.
    """
    grown = new_bgr.shape[0] / crop.size_px
    picture.write_warped(new_bgr, mask, then(crop.matrix, resized(grown, grown)))
