"""Colour arithmetic between the samples of a stream and 8-bit BGR.

Each direction is one affine 3x4 matrix of the stream's own coefficients, range and bit depth.
Not for: memory layouts (`farm.media.layout`) or masks and regions (`farm.media.frame`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.layout import ColorModel, PixelLayout
from farm.media.stream import ColorTags
from farm.media.tone import ToneMap, tone_map

BgrPixels = NDArray[np.uint8] | NDArray[np.float32]
"""[h, w, 3] BGR, 0..255."""
_LIMITED, _FULL = 1, 2
_UNSPECIFIED = 2
_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Red and blue weights of luma by matrix coefficients. Source: ITU-T H.273, table 4."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversion:
    """Both directions between native samples and 8-bit BGR, rounded to the nearest level."""

    model: ColorModel
    depth: int
    to_bgr: NDArray[np.float32]
    """[3, 4]: B, G, R in 0..255 from native samples and 1."""
    from_bgr: NDArray[np.float32]
    """[3, 4]: native samples from B, G, R in 0..255 and 1."""
    black: tuple[int, ...]
    """Native sample of each component of a black pixel."""
    tone: ToneMap | None = None
    """How an HDR signal becomes that of a standard screen; None where it is one already."""

    def bgr(self, samples: list[NDArray[Any]]) -> NDArray[np.uint8]:
        """Native samples, one [h, w] array for each component, as a new [h, w, 3] BGR array."""
        if self.model is ColorModel.GRAY:
            return np.asarray(cv2.cvtColor(self.gray(samples), cv2.COLOR_GRAY2BGR), np.uint8)
        merged = cv2.merge(samples)
        if self.tone is not None:
            wide = cv2.transform(merged.astype(np.float32), self.to_bgr / np.float32(255))
            return _rounded(self.tone.to_screen(np.asarray(wide, np.float32)))
        if self.model is ColorModel.RGB and self.depth == 8:
            return np.asarray(merged, np.uint8)
        wide = cv2.transform(merged.astype(np.uint16, copy=False), self.to_bgr)
        return np.asarray(cv2.convertScaleAbs(wide), np.uint8)

    def gray(self, samples: list[NDArray[Any]]) -> NDArray[np.uint8]:
        """Native samples as a new [h, w] array of brightness, 0..255."""
        if self.model is ColorModel.RGB:
            return np.asarray(cv2.cvtColor(self.bgr(samples), cv2.COLOR_BGR2GRAY), np.uint8)
        scale, offset = _gray_scale(self)
        positive = np.maximum(samples[0], samples[0].dtype.type(self.black[0]))
        if self.tone is not None:
            signal = positive.astype(np.float32) * np.float32(scale / 255)
            return _rounded(self.tone.to_screen_gray(signal + np.float32(offset / 255)))
        return np.asarray(cv2.convertScaleAbs(positive, alpha=scale, beta=offset), np.uint8)

    def native(self, region_bgr: BgrPixels) -> list[NDArray[Any]]:
        """BGR [h, w, 3] as native samples at full resolution, one [h, w] array per component.

        Fractions of float32 pixels are kept where the depth can hold them.
        """
        if self.tone is not None:
            return self._native_hdr(self.tone, region_bgr)
        if region_bgr.dtype == np.float32:
            return self._native_of_floats(region_bgr)
        if self.model is ColorModel.RGB and self.depth == 8:
            return list(cv2.split(region_bgr))
        # cv2 rounds 16 bit samples to the nearest; 8 bit ones come out one off at times.
        wide: NDArray[Any] = cv2.transform(region_bgr.astype(np.uint16), self.from_bgr)
        if self.depth == 8:
            wide = cv2.convertScaleAbs(wide)
        elif self.depth < 16:
            wide = np.minimum(wide, np.uint16(2**self.depth - 1))
        return list(cv2.split(wide)[: len(self.black)])

    def _native_of_floats(self, region_bgr: BgrPixels) -> list[NDArray[Any]]:
        wide = cv2.transform(np.ascontiguousarray(region_bgr), self.from_bgr)
        depth = cv2.CV_8U if self.depth <= 8 else cv2.CV_16U
        rounded: NDArray[Any] = cv2.add(wide, np.zeros(4), dtype=depth)
        if 8 < self.depth < 16:
            rounded = np.minimum(rounded, np.uint16(2**self.depth - 1))
        return list(cv2.split(rounded)[: len(self.black)])

    def _native_hdr(self, tone: ToneMap, region_bgr: BgrPixels) -> list[NDArray[Any]]:
        signal = tone.to_signal(region_bgr.astype(np.float32) / np.float32(255))
        wide = cv2.transform(signal * np.float32(255), self.from_bgr)
        top = np.float32(2**self.depth - 1)
        kind = np.uint8 if self.depth <= 8 else np.uint16
        rounded: NDArray[Any] = np.clip(np.rint(wide), 0, top).astype(kind)
        return list(cv2.split(rounded)[: len(self.black)])


def _rounded(screen: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A screen's signal 0..1 as 8-bit levels."""
    return np.asarray(cv2.convertScaleAbs(screen, alpha=255.0), np.uint8)


def conversion_for(layout: PixelLayout, color: ColorTags, width: int, height: int) -> Conversion:
    """The conversion of a stream with this layout and tags whose stored picture is that large."""
    space = color.space
    if space not in _KR_KB and space != 8:
        space = guessed_space(width, height)
    full = is_full_range(layout, color.range)
    tone = tone_map(color.trc, color.primaries)
    return _conversion(layout.model, layout.depth, space, full, tone)


def guessed_space(width: int, height: int) -> int:
    """Matrix of a stream that names none, as mpv guesses it: BT.709 for HD, else BT.601.

    HD is a stored picture at least 1280 wide or over 576 high.
    """
    return 1 if width >= 1280 or height > 576 else 5


def is_full_range(layout: PixelLayout, range_tag: int) -> bool:
    """Whether samples use the whole range; untagged, yuv does not, gray and RGB do."""
    if layout.model is ColorModel.YUV:
        return layout.full_range or range_tag == _FULL
    return layout.model is ColorModel.RGB or range_tag != _LIMITED


@cache
def _conversion(
    model: ColorModel, depth: int, space: int, full: bool, tone: ToneMap | None
) -> Conversion:
    top = float(2**depth - 1)
    if model is ColorModel.RGB:
        forward, scale, offset = np.eye(3), np.full(3, top / 255), np.zeros(3)
    else:
        step = float(2 ** (depth - 8))
        luma, chroma = (top, top) if full else (219 * step, 224 * step)
        forward = _from_bgr_matrix(space)
        scale = np.array([luma, chroma, chroma]) / 255
        offset = np.array([0.0 if full else 16 * step, 128 * step, 128 * step])
    matrix = forward * scale[:, None]
    inverse = np.linalg.inv(matrix)
    count = 1 if model is ColorModel.GRAY else 3
    return Conversion(
        model=model,
        depth=depth,
        to_bgr=np.column_stack([inverse, -inverse @ offset]).astype(np.float32),
        from_bgr=np.column_stack([matrix, offset]).astype(np.float32),
        black=tuple(int(v) for v in offset[:count]),
        tone=tone,
    )


def _from_bgr_matrix(space: int) -> NDArray[np.float64]:
    """[3, 3] from B, G, R to Y, Cb, Cr with chroma in -0.5..0.5 of full scale."""
    if space == 8:  # YCgCo: Cg, Co
        return np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [-0.5, 0.0, 0.5]])
    kr, kb = _KR_KB[space]
    luma = np.array([kb, 1 - kr - kb, kr])
    blue = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - kb))
    red = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - kr))
    return np.stack([luma, blue, red])


def _gray_scale(conversion: Conversion) -> tuple[float, float]:
    """Factor and addend from native luma to 0..255."""
    low = conversion.black[0]
    span = float(conversion.from_bgr[0, :3].sum()) * 255
    return 255 / span, -255 * low / span
