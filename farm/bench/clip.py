"""The clip of the benchmark: 1920x1080, 30 fps, a portrait that moves over a textured picture.

The same frames on every machine. Not for: checking what a render made of it (`farm.demo`).
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.demo import oval, portrait

WIDTH, HEIGHT, FPS = 1920, 1080, 30
FRAMES = 300
_PORTRAIT_PX = 600
_DRIFT_PX = 256
"""How far the background moves, so that no block of a frame is the one before it."""
_GRAINS = 7


def make_clip(path: Path, frames: int = FRAMES) -> Path:
    """Write the clip: H.264, a keyframe every 2 s, light grain as of a camera.

    Args:
        path: Where to; an MP4.
        frames: How many.

    Raises:
        SetupError: The portrait is not installed.
    """
    random = np.random.default_rng(7)
    background, grain = _background(random), _grain(random)
    side = (_PORTRAIT_PX, _PORTRAIT_PX)
    face = np.asarray(cv2.resize(portrait(), side, interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = oval(_PORTRAIT_PX).astype(np.float32)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "21", "preset": "veryfast", "g": str(2 * FPS)}
        for number in range(frames):
            picture = _picture(number, background, grain, face, mask)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _picture(
    number: int,
    background: NDArray[np.uint8],
    grain: NDArray[np.uint8],
    face: NDArray[np.uint8],
    mask: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Frame `number`, [1080, 1920, 3] RGB."""
    angle = 2 * math.pi * number / FRAMES
    x = round(_DRIFT_PX * (0.5 - 0.5 * math.cos(angle)))
    behind = background[x // 2 : x // 2 + HEIGHT, x : x + WIDTH]
    picture = cv2.add(behind, np.roll(grain, 37 * (number % _GRAINS), axis=1))
    left = round((WIDTH - _PORTRAIT_PX) * (0.5 - 0.5 * math.cos(angle)))
    top = round((HEIGHT - _PORTRAIT_PX) / 2 + 120 * math.sin(2 * angle))
    region = picture[top : top + _PORTRAIT_PX, left : left + _PORTRAIT_PX]
    region[:] = (mask * face + (1 - mask) * region).astype(np.uint8)
    return np.asarray(picture, np.uint8)


def _background(random: np.random.Generator) -> NDArray[np.uint8]:
    """Larger than a frame; cold colours, so that only the portrait is warm; [h, w, 3] RGB."""
    size = (WIDTH + _DRIFT_PX, HEIGHT + _DRIFT_PX)
    field = np.zeros((size[1], size[0]), np.float32)
    for octave in range(2, 8):
        coarse = random.standard_normal((2**octave, 2**octave), np.float32)
        field += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * (40 / octave)
    blue = np.clip(140 + field, 40, 215)
    return np.stack([blue * 0.5, blue * 0.8, blue], axis=-1).astype(np.uint8)


def _grain(random: np.random.Generator) -> NDArray[np.uint8]:
    """A few levels of noise, the same in all colours, [1080, 1920, 3]."""
    noise = np.clip(random.standard_normal((HEIGHT, WIDTH), np.float32) * 4 + 8, 0, 20)
    return np.repeat(noise.astype(np.uint8)[..., None], 3, axis=2)
