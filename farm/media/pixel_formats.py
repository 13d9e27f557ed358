"""Which pixel format of an encoder loses nothing, and carrying frames over to it.

One rule instead of a long table: formats are compared by colour model, alpha, depth and chroma, and
the smallest one that holds all of the source wins. Not for: pictures for networks
(`farm.media.convert`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from farm.media.planes import plane_lines
from farm.media.stream import ColorTags

_PROBE_PX = 64
_FULL, _LIMITED = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traits:
    """What a pixel format can hold."""

    rgb: bool
    gray: bool
    alpha: bool
    depth: int
    step_x: int
    """Picture columns per chroma sample."""
    step_y: int
    full: bool
    """Whether the name itself says full range (yuvj420p and its like)."""
    bits: int
    """Bits per pixel with padding."""


@cache
def _traits(pix_fmt: str) -> _Traits:
    form = VideoFormat(pix_fmt, _PROBE_PX, _PROBE_PX)
    colors = [each for each in form.components if not each.is_alpha]
    rgb = form.is_rgb or form.has_palette
    chroma = None if rgb or len(colors) < 3 else colors[1]
    return _Traits(
        rgb=rgb,
        gray=not rgb and chroma is None,
        alpha=len(colors) < len(form.components),
        depth=max(each.bits for each in form.components),
        step_x=_PROBE_PX // chroma.width if chroma else 1,
        step_y=1 if chroma is None or chroma.height == 0 else _PROBE_PX // chroma.height,
        full=pix_fmt.startswith("yuvj"),
        bits=form.padded_bits_per_pixel,
    )


def nearest_pix_fmt(
    source: str, candidates: tuple[str, ...], width: int, height: int, *, whole_chroma: bool
) -> tuple[str, tuple[str, ...]] | None:
    """Choose the format that keeps most of `source`, and among equals the smallest.

    Args:
        source: Pixel format of the decoded frames.
        candidates: Formats that the encoder takes.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        whole_chroma: Whether the encoder refuses a size that is no multiple of the chroma step.

    Returns:
        The format, and what it loses, in words, nothing when it is exact; None where the size
        fits no candidate.
    """
    fitting = [
        each
        for each in candidates
        if not whole_chroma
        or (width % _traits(each).step_x == 0 and height % _traits(each).step_y == 0)
    ]
    if not fitting:
        return None
    if source in fitting:
        return source, ()
    best = min(fitting, key=lambda each: (_cost(_traits(source), _traits(each)), each))
    return best, _losses(_traits(source), _traits(best))


def _cost(source: _Traits, target: _Traits) -> tuple[int, ...]:
    """Smaller is nearer: first what is lost, the worst loss first, then what is wasted."""
    keeps_gray = source.gray and not target.rgb
    coarser = max(0, target.step_x - source.step_x) + max(0, target.step_y - source.step_y)
    return (
        int(source.rgb != target.rgb and not keeps_gray),
        int(not source.gray and target.gray),
        max(0, source.depth - target.depth),
        0 if source.gray else coarser,
        int(source.alpha and not target.alpha),
        int(target.depth != source.depth),
        int(source.full != target.full),
        0 if source.gray else abs(target.step_x - source.step_x + target.step_y - source.step_y),
        int(target.alpha and not source.alpha),
        target.bits,
    )


def _losses(source: _Traits, target: _Traits) -> tuple[str, ...]:
    """What the step from one format to the other loses, in words."""
    found = []
    if source.alpha and not target.alpha:
        found.append("transparency is dropped")
    if source.rgb and not target.rgb:
        found.append("RGB is rounded to YUV")
    if source.depth > target.depth:
        found.append(f"{source.depth} bit are rounded to {target.depth}")
    elif source.depth < target.depth:
        found.append(f"{source.depth} bit are stored as {target.depth}")
    same = (source.step_x, source.step_y) == (target.step_x, target.step_y)
    if not source.gray and not same:
        found.append("chroma is resampled")
    return tuple(found)


def traits_of(pix_fmt: str) -> tuple[bool, bool, int]:
    """Whether a format is gray, whether it has alpha, and its bits per sample."""
    traits = _traits(pix_fmt)
    return traits.gray, traits.alpha, traits.depth


def is_rgb(pix_fmt: str) -> bool:
    """Whether samples are red, green and blue (or a palette of them)."""
    return _traits(pix_fmt).rgb


def has_alpha(pix_fmt: str) -> bool:
    """Whether samples say how transparent the picture is."""
    return _traits(pix_fmt).alpha


def to_pix_fmt(frame: VideoFrame, pix_fmt: str, source: ColorTags, target: ColorTags) -> VideoFrame:
    """The same picture in another pixel format; the frame itself when it is in that one already.

    Formats of equal samples (yuvj420p and yuv420p, gray and the luma of YUV) are copied bit by bit.
    """
    if frame.format.name == pix_fmt:
        return frame
    before, after = _traits(frame.format.name), _traits(pix_fmt)
    planar = not before.rgb and not after.rgb and before.depth == after.depth
    if planar and (before.gray or _same_planes(frame.format, VideoFormat(pix_fmt, 64, 64))):
        return _copied(frame, pix_fmt, before.depth)
    full_before = _FULL if before.rgb or before.full or source.range == _FULL else _LIMITED
    full_after = _FULL if after.rgb or after.full or target.range == _FULL else _LIMITED
    return frame.reformat(
        format=pix_fmt,
        src_colorspace=_matrix(source.space if not before.rgb else target.space),
        dst_colorspace=_matrix(target.space if not after.rgb else source.space),
        src_color_range=full_before,
        dst_color_range=full_after,
        threads=1,
    )


def _same_planes(first: VideoFormat, second: VideoFormat) -> bool:
    def shape(form: VideoFormat) -> list[tuple[int, int, int]]:
        probe = VideoFormat(form.name, _PROBE_PX, _PROBE_PX)
        return [(c.plane, c.width, c.height) for c in probe.components]

    return first.is_planar and second.is_planar and shape(first) == shape(second)


def _copied(frame: VideoFrame, pix_fmt: str, depth: int) -> VideoFrame:
    """Copy planes sample by sample; chroma that the source has not is neutral."""
    copy = VideoFrame(frame.width, frame.height, pix_fmt)
    for number, plane in enumerate(copy.planes):
        lines = plane_lines(copy, number)
        if number < len(frame.planes):
            used = plane.width * (2 if depth > 8 else 1)
            lines[:, :used] = plane_lines(frame, number)[:, :used]
        elif depth > 8:
            lines.view(np.uint16)[:] = 1 << (depth - 1)
        else:
            lines[:] = 128
    return copy


_SWS_SPACES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


def _matrix(space: int) -> int:
    """Number of a matrix in libswscale; BT.601 where the stream names none that it knows."""
    return _SWS_SPACES.get(space, 5)
