"""What a picture looks like, in 64 bytes or as a hash of all its samples.

Not for: judging quality; a signature says whether it is the same picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.media.layout import (
    ColorModel,
    Component,
    PixelLayout,
    editable_pix_fmt,
    layout_of,
)
from farm.media.planes import plane_lines, plane_samples

SIGNATURE_BYTES = 64
_GRID = 8
_SAMPLES = 8
"""Samples per cell and direction."""


def picture_signature(frame: VideoFrame) -> bytes:
    """64 luma means (green where the picture is RGB), 8 bit, row by row over a grid of 8 by 8.

    Samples are taken sparsely, so it costs the same for any size of picture.
    """
    frame, layout, order = _readable(frame)
    return _means(frame, layout, order[0])


def component_signatures(frame: VideoFrame) -> bytes:
    """The same of every component, luma or green first."""
    frame, layout, order = _readable(frame)
    return b"".join(_means(frame, layout, each) for each in order)


def sample_places(
    component: Component, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of a component at whose crossings a signature looks."""
    return _places(-(-height // component.sub_y)), _places(-(-width // component.sub_x))


def signatures_of(picked: Sequence[NDArray[Any]], layout: PixelLayout) -> bytes:
    """What `component_signatures` gives of a YUV picture, from its samples at `sample_places`."""
    return b"".join(_cell_means(each, layout) for each in picked)


def _readable(frame: VideoFrame) -> tuple[VideoFrame, PixelLayout, tuple[Component, ...]]:
    """The frame in a format that can be read, and its components, the telling one first."""
    name = editable_pix_fmt(frame.format.name)
    if name != frame.format.name:
        frame = frame.reformat(format=name, threads=1)
    layout = layout_of(name)
    main = layout.components[1 if layout.model is ColorModel.RGB else 0]
    return frame, layout, (main, *(each for each in layout.components if each is not main))


def _means(frame: VideoFrame, layout: PixelLayout, component: Component) -> bytes:
    """64 means of one component."""
    samples = plane_lines(frame, component.plane).view(layout.dtype)
    rows, columns = sample_places(component, frame.width, frame.height)
    picked = samples[np.ix_(rows, columns * component.step + component.offset)]
    return _cell_means(picked, layout)


def _cell_means(stored: NDArray[Any], layout: PixelLayout) -> bytes:
    """64 means of one component, of its samples as they are stored."""
    picked = stored.astype(np.uint32) >> layout.shift
    cells = picked.reshape(_GRID, _SAMPLES, _GRID, _SAMPLES).mean(axis=(1, 3))
    scaled = cells / float(1 << (layout.depth - 8)) if layout.depth > 8 else cells
    return bytes(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def signature_distance(first: bytes, second: bytes) -> tuple[int, float]:
    """How far two signatures are apart: the worst cell and the mean over cells, in 8-bit steps."""
    one, two = (np.frombuffer(each, np.uint8).astype(np.int16) for each in (first, second))
    apart = np.abs(one - two)
    return int(apart.max()), float(apart.mean())


def picture_md5(frame: VideoFrame) -> str:
    """Hash of every sample of every plane, without the padding of lines."""
    digest = hashlib.md5(usedforsecurity=False)
    for number in range(len(frame.planes)):
        digest.update(np.ascontiguousarray(plane_samples(frame, number)).data)
    return digest.hexdigest()


def _places(size: int) -> NDArray[np.int64]:
    """Indices of the samples along one direction: evenly spread, centred in their cells."""
    count = _GRID * _SAMPLES
    return (np.arange(count, dtype=np.int64) * 2 + 1) * size // (2 * count)
