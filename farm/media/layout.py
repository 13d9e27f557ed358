"""Where the samples of a pixel format lie in memory, as far as pictures can be edited in place.

Not for: colour (`farm.media.convert`) or reading and writing regions (`farm.media.frame`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np

from farm.errors import MediaError


class ColorModel(StrEnum):
    """What the components of a pixel format are."""

    YUV = "yuv"
    GRAY = "gray"
    RGB = "rgb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component; offset and step count samples, not bytes."""

    plane: int
    offset: int = 0
    step: int = 1
    sub_x: int = 1
    """Picture columns that one sample covers."""
    sub_y: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """Memory layout of a pixel format; alpha and padding are not listed, they are never touched."""

    pix_fmt: str
    model: ColorModel
    components: tuple[Component, ...]
    """Y, U, V, or Y alone, or B, G, R."""
    depth: int
    """Bits that count in a sample."""
    shift: int = 0
    """Unused low bits below them."""
    full_range: bool = False
    """Whether the format itself says full range (yuvj420p and its like)."""

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of one sample in memory."""
        return np.uint8 if self.depth <= 8 else np.uint16

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of the smallest block that holds whole chroma samples."""
        last = self.components[-1]
        return last.sub_x, last.sub_y


_CHROMA = {
    "444": (1, 1), "440": (1, 2), "422": (2, 1), "420": (2, 2), "411": (4, 1), "410": (4, 4),
}  # fmt: skip
_PLANAR_YUV = re.compile(r"yuv(?P<a>a)?(?P<j>j)?(?P<sub>4\d\d)p(?:(?P<bits>\d+)le)?")
_SEMI_PLANAR = {
    "nv12": ("420", 8, 0), "nv21": ("420", 8, 0), "nv16": ("422", 8, 0), "nv24": ("444", 8, 0),
    "nv42": ("444", 8, 0), "nv20le": ("422", 10, 0), "p010le": ("420", 10, 6),
    "p012le": ("420", 12, 4), "p016le": ("420", 16, 0), "p210le": ("422", 10, 6),
    "p212le": ("422", 12, 4), "p216le": ("422", 16, 0), "p410le": ("444", 10, 6),
    "p412le": ("444", 12, 4), "p416le": ("444", 16, 0),
}  # fmt: skip
_GRAY = re.compile(r"gray(?:(?P<bits>\d+)le)?")
_GRAY_ALPHA = {"ya8": 8, "ya16le": 16}
_PLANAR_RGB = re.compile(r"gbra?p(?:(?P<bits>\d+)le)?")
_PACKED_RGB = {
    "rgb24": "rgb", "bgr24": "bgr", "argb": "argb", "rgba": "rgba", "abgr": "abgr", "bgra": "bgra",
    "0rgb": "0rgb", "rgb0": "rgb0", "0bgr": "0bgr", "bgr0": "bgr0",
    "rgb48le": "rgb", "bgr48le": "bgr", "rgba64le": "rgba", "bgra64le": "bgra",
}  # fmt: skip
_PACKED_422 = {
    "yuyv422": ("yuyv", 8, 0), "uyvy422": ("uyvy", 8, 0), "yvyu422": ("yvyu", 8, 0),
    "y210le": ("yuyv", 10, 6), "y212le": ("yuyv", 12, 4), "y216le": ("yuyv", 16, 0),
}  # fmt: skip
_PACKED_444 = {
    "vuya": ("vuya", 8, 0), "vuyx": ("vuya", 8, 0), "ayuv": ("ayuv", 8, 0), "uyva": ("uyva", 8, 0),
    "vyu444": ("vyu", 8, 0), "ayuv64le": ("ayuv", 16, 0), "xv36le": ("uyva", 12, 4),
    "xv48le": ("uyva", 16, 0),
}  # fmt: skip
_EDITABLE = {
    "pal8": "rgb24", "monow": "gray", "monob": "gray", "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le", "xv30le": "yuv444p10le", "v30xle": "yuv444p10le",
    "rgb565le": "rgb24", "bgr565le": "rgb24", "rgb555le": "rgb24", "bgr555le": "rgb24",
    "rgb444le": "rgb24", "bgr444le": "rgb24", "rgb8": "rgb24", "bgr8": "rgb24",
    "rgb4_byte": "rgb24", "bgr4_byte": "rgb24",
}  # fmt: skip


def editable_pix_fmt(pix_fmt: str) -> str:
    """The format that a frame must be brought to before it can be edited; itself for most.

    The conversion keeps every colour value (big-endian samples are swapped; palettes, bit fields
    and 1-bit pictures are spread out); only the transparency of a palette is dropped.

    Raises:
        MediaError: The format can neither be edited nor be brought to one without loss.
    """
    target = _EDITABLE.get(pix_fmt, pix_fmt)
    swapped = pix_fmt.removesuffix("be") + "le"
    if pix_fmt.endswith("be") and swapped not in (*_PACKED_422, *_PACKED_444, *_EDITABLE):
        target = swapped
    layout_of(target)
    return target


@cache
def layout_of(pix_fmt: str) -> PixelLayout:
    """Memory layout of an editable pixel format.

    Raises:
        MediaError: The format is not one that can be edited in place.
    """
    for find in (_planar_yuv, _semi_planar, _gray, _planar_rgb, _packed_rgb, _packed_yuv):
        layout = find(pix_fmt)
        if layout is not None:
            return layout
    raise MediaError(
        f"pixel format {pix_fmt} cannot be edited; convert the video first, for example to yuv444p"
    )


def _planar_yuv(pix_fmt: str) -> PixelLayout | None:
    match = _PLANAR_YUV.fullmatch(pix_fmt)
    if match is None or match["sub"] not in _CHROMA:
        return None
    sub_x, sub_y = _CHROMA[match["sub"]]
    chroma = tuple(Component(plane=p, sub_x=sub_x, sub_y=sub_y) for p in (1, 2))
    return PixelLayout(
        pix_fmt=pix_fmt,
        model=ColorModel.YUV,
        components=(Component(plane=0), *chroma),
        depth=int(match["bits"] or 8),
        full_range=match["j"] is not None,
    )


def _semi_planar(pix_fmt: str) -> PixelLayout | None:
    if pix_fmt not in _SEMI_PLANAR:
        return None
    subsampling, depth, shift = _SEMI_PLANAR[pix_fmt]
    sub_x, sub_y = _CHROMA[subsampling]
    order = (1, 0) if pix_fmt in ("nv21", "nv42") else (0, 1)
    chroma = tuple(Component(plane=1, offset=o, step=2, sub_x=sub_x, sub_y=sub_y) for o in order)
    return PixelLayout(
        pix_fmt=pix_fmt,
        model=ColorModel.YUV,
        components=(Component(plane=0), *chroma),
        depth=depth,
        shift=shift,
    )


def _gray(pix_fmt: str) -> PixelLayout | None:
    match = _GRAY.fullmatch(pix_fmt)
    if match is None and pix_fmt not in _GRAY_ALPHA:
        return None
    depth = int(match["bits"] or 8) if match else _GRAY_ALPHA[pix_fmt]
    luma = Component(plane=0, step=1 if match else 2)
    return PixelLayout(pix_fmt=pix_fmt, model=ColorModel.GRAY, components=(luma,), depth=depth)


def _planar_rgb(pix_fmt: str) -> PixelLayout | None:
    match = _PLANAR_RGB.fullmatch(pix_fmt)
    if match is None:
        return None
    return PixelLayout(
        pix_fmt=pix_fmt,
        model=ColorModel.RGB,
        components=tuple(Component(plane=p) for p in (1, 0, 2)),
        depth=int(match["bits"] or 8),
    )


def _packed_rgb(pix_fmt: str) -> PixelLayout | None:
    if pix_fmt not in _PACKED_RGB:
        return None
    order = _PACKED_RGB[pix_fmt]
    return PixelLayout(
        pix_fmt=pix_fmt,
        model=ColorModel.RGB,
        components=_interleaved(order, "bgr"),
        depth=16 if pix_fmt.endswith("le") else 8,
    )


def _packed_yuv(pix_fmt: str) -> PixelLayout | None:
    if pix_fmt in _PACKED_444:
        order, depth, shift = _PACKED_444[pix_fmt]
        components = _interleaved(order, "yuv")
    elif pix_fmt in _PACKED_422:
        order, depth, shift = _PACKED_422[pix_fmt]
        luma = Component(plane=0, offset=order.index("y"), step=2)
        chroma = (Component(plane=0, offset=order.index(c), step=4, sub_x=2) for c in "uv")
        components = (luma, *chroma)
    else:
        return None
    return PixelLayout(
        pix_fmt=pix_fmt, model=ColorModel.YUV, components=components, depth=depth, shift=shift
    )


def _interleaved(order: str, wanted: str) -> tuple[Component, ...]:
    return tuple(Component(plane=0, offset=order.index(c), step=len(order)) for c in wanted)
