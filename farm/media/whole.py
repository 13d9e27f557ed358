"""Whole frames as RGB numbers and back, with the stream's own matrix, range and bit depth.

A frame that is read and written unchanged keeps every sample. Not for: regions of frames
(`farm.media.frame`), which is what faces need.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.media.convert import Conversion, conversion_for
from farm.media.layout import ColorModel, Component, PixelLayout, layout_of
from farm.media.planes import plane_lines
from farm.media.reference import second_reference
from farm.media.stream import ColorTags

Rgb = NDArray[np.float32]
"""[h, w, 3] red, green, blue of the coded signal; 0 to 1, and a little outside where yuv is."""


def read_rgb(frame: VideoFrame, color: ColorTags) -> Rgb:
    """Read a frame as it is stored (not turned); HDR stays the signal that it is.

    Raises:
        MediaError: The pixel format is none that the farm edits.
    """
    layout, convert = _of(frame, color)
    size = (frame.width, frame.height)
    samples = [_spread(_view(frame, layout, c), c, size, layout.shift) for c in layout.components]
    if layout.model is ColorModel.GRAY:
        low, span = _gray(convert)
        return np.repeat(((samples[0] - np.float32(low)) / np.float32(span))[..., None], 3, axis=2)
    bgr = cv2.transform(cv2.merge(samples), convert.to_bgr / np.float32(255))
    return np.ascontiguousarray(bgr[..., ::-1])


def write_rgb(rgb: Rgb, like: VideoFrame, color: ColorTags) -> VideoFrame:
    """Make a frame of these colours that is otherwise like another one: alpha, tags, side data.

    Chroma samples are the mean of the pixels that they cover.

    Args:
        rgb: The picture, of the size of `like`.
        like: Stays as it is.
        color: Tags of the stream.

    Raises:
        MediaError: The pixel format is none that the farm edits.
    """
    made = second_reference(like)
    made.make_writable()
    layout, convert = _of(made, color)
    top = float(2**layout.depth - 1)
    if layout.model is ColorModel.GRAY:
        low, span = _gray(convert)
        native = [np.asarray(rgb.mean(axis=2) * span + low, np.float32)]
    else:
        bgr = np.ascontiguousarray(rgb[..., ::-1]) * np.float32(255)
        merged = np.asarray(cv2.transform(bgr, convert.from_bgr), np.float32)
        native = [np.ascontiguousarray(merged[..., i]) for i in range(3)]
    for component, samples in zip(layout.components, native, strict=True):
        view = _view(made, layout, component)
        means = _gathered(samples, component, (view.shape[1], view.shape[0]))
        view[...] = np.left_shift(
            np.clip(np.rint(means), 0, top).astype(layout.dtype), layout.shift
        )
    return made


def _of(frame: VideoFrame, color: ColorTags) -> tuple[PixelLayout, Conversion]:
    """Layout and arithmetic of a frame, without a tone map."""
    layout = layout_of(frame.format.name)
    convert = conversion_for(layout, color, frame.width, frame.height)
    return layout, replace(convert, tone=None)


def _view(frame: VideoFrame, layout: PixelLayout, component: Component) -> NDArray[Any]:
    """View of a component's native samples, [rows, columns]."""
    rows, columns = -(-frame.height // component.sub_y), -(-frame.width // component.sub_x)
    lines = plane_lines(frame, component.plane).view(layout.dtype)
    end = component.offset + (columns - 1) * component.step + 1
    return lines[:rows, component.offset : end : component.step]


def _spread(
    view: NDArray[Any], component: Component, size: tuple[int, int], shift: int
) -> NDArray[np.float32]:
    """A component for every pixel, each sample over all that it covers."""
    samples = (view >> shift).astype(np.float32)
    if component.sub_x == component.sub_y == 1:
        return samples
    wide = (samples.shape[1] * component.sub_x, samples.shape[0] * component.sub_y)
    full = cv2.resize(samples, wide, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(full[: size[1], : size[0]], np.float32)


def _gathered(
    samples: NDArray[np.float32], component: Component, size: tuple[int, int]
) -> NDArray[np.float32]:
    """The mean over the pixels of each sample; at odd borders, of the pixels that are there."""
    if component.sub_x == component.sub_y == 1:
        return samples
    more_x = size[0] * component.sub_x - samples.shape[1]
    more_y = size[1] * component.sub_y - samples.shape[0]
    if more_x or more_y:
        samples = np.pad(samples, ((0, more_y), (0, more_x)), mode="edge")
    return np.asarray(cv2.resize(samples, size, interpolation=cv2.INTER_AREA), np.float32)


def _gray(convert: Conversion) -> tuple[float, float]:
    """Native level of black, and how far white is above it."""
    return float(convert.black[0]), float(convert.from_bgr[0, :3].sum()) * 255
