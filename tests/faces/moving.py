"""Clips in memory with faces that the made detectors find and optical flow can follow.

Not for: real faces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.frame import EditableFrame
from tests.faces.pictures import frame_of
from tests.model_maker import COLOURS_BGR

WIDTH, HEIGHT = 400, 300
Place = tuple[int, int, int]
"""Left, top, side."""


def swaying(frame: int) -> Place:
    """A face that moves fast and unevenly, up to 8 pixels in a frame."""
    return (
        round(150 + 90 * math.sin(frame / 11)),
        round(110 + 50 * math.sin(frame / 7 + 1)),
        60 + frame % 60 // 6,
    )


def textured_frames(
    count: int,
    faces: dict[str, Callable[[int], Place | None]],
    *,
    shots: Sequence[int] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> list[EditableFrame]:
    """Frames with textured faces before a textured background.

    Args:
        count: How many.
        faces: By colour, where each is; None where it is away.
        shots: Frames that begin a shot with another background.
        size: Width and height.
    """
    return [frame_of(picture) for picture in textured_pictures(count, faces, shots, size)]


def textured_pictures(
    count: int,
    faces: dict[str, Callable[[int], Place | None]],
    shots: Sequence[int] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> list[NDArray[np.uint8]]:
    """The pictures of `textured_frames`, [h, w, 3] uint8 BGR."""
    pictures = []
    for number in range(count):
        shot = sum(number >= start for start in shots)
        picture = background(shot, size)
        for colour, place_at in faces.items():
            place = place_at(number)
            if place is not None:
                _paint(picture, place, colour)
        pictures.append(picture)
    return pictures


def background(shot: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """A blurred gray noise, dark or bright by the number of the shot."""
    noise = np.random.default_rng(100 + shot).integers(0, 80, (size[1] // 8, size[0] // 8))
    gray = cv2.resize(noise.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)
    bright = gray + np.uint8(20 if shot % 2 == 0 else 150)
    return np.ascontiguousarray(np.repeat(bright[..., None], 3, axis=2), np.uint8)


def _paint(picture_bgr: NDArray[np.uint8], place: Place, colour: str) -> None:
    """A square of a colour that detectors know, with a pattern in it that stays at its places."""
    left, top, side = place
    cells = np.random.default_rng(len(colour)).random((12, 12)).astype(np.float32)
    pattern = np.clip(cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
    # What changes brightness most and leaves the colour to the detector.
    most = np.array((0, 80, 0) if colour == "magenta" else (-45, -45, -45))
    square = np.clip(COLOURS_BGR[colour] + pattern[..., None] * most, 0, 255).astype(np.uint8)
    height, width = picture_bgr.shape[:2]
    low_x, low_y = max(left, 0), max(top, 0)
    high_x, high_y = min(left + side, width), min(top + side, height)
    if low_x < high_x and low_y < high_y:
        part = square[low_y - top : high_y - top, low_x - left : high_x - left]
        picture_bgr[low_y:high_y, low_x:high_x] = part


def write_clip(path: Path, pictures: Sequence[NDArray[np.uint8]], *, gop: int = 12) -> Path:
    """A lossless H.264 clip of these pictures at 25 frames per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        stream.options = {"qp": "0", "preset": "ultrafast", "g": str(gop), "bf": "2"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format="bgr0", threads=1
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
