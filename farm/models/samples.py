"""Faces to calibrate and to compare models with: a built-in portrait, varied, or the user's images.

The portrait is the public-domain astronaut that scikit-image ships; nothing is downloaded.
Not for: rendering, or what the networks make of the faces (`farm.models.trials`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError, SettingsError
from farm.faces.detect import FaceDetector, detect_faces
from farm.faces.face import Face
from farm.faces.source import StillPicture, read_picture

BUILT_IN = "the built-in portrait, turned, scaled, mirrored, in other light"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_SIDE_PX = 512
_LANDMARKS_XY = np.array(
    [[203.4, 103.6], [247.5, 104.4], [224.1, 127.7], [204.0, 143.1], [242.9, 143.7]], np.float32
)
"""Of the portrait's face, as YuNet finds them."""
_MIRRORED = (1, 0, 2, 4, 3)
"""Order of the landmarks once left and right have changed places."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A picture with one face."""

    picture: StillPicture
    face: Face


def built_in_samples(count: int, seed: int) -> list[Sample]:
    """The portrait `count` times, varied; the same for the same seed.

    Raises:
        InputError: The portrait is not installed.
    """
    portrait = _portrait()
    random = np.random.default_rng(seed)
    return [_varied(portrait, random, mirrored=bool(i % 2)) for i in range(count)]


def samples_of(paths: Sequence[Path], detector: FaceDetector) -> list[Sample]:
    """The largest face of every image of the paths, which may be folders.

    Raises:
        InputError: A path is missing, or no image shows a face.
    """
    files = [file for path in paths for file in _images(path)]
    samples = []
    for file in files:
        picture = read_picture(file)
        faces = detect_faces(detector, [picture])[0]
        if faces:
            samples.append(Sample(picture=picture, face=faces[0]))
    if not samples:
        raise InputError(
            f"none of the {len(files)} images of {', '.join(map(str, paths))} shows a face: "
            "give images of faces, or leave --calibrate out for the built-in portrait"
        )
    return samples


def _images(path: Path) -> list[Path]:
    """The image itself, or the images in a folder, in order."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not path.is_file():
        raise SettingsError(f"--calibrate {path}: there is no such file or folder")
    return [path]


def _portrait() -> NDArray[np.uint8]:
    """[512, 512, 3] uint8 BGR."""
    spec = importlib.util.find_spec("skimage")
    path = Path(spec.origin).parent / "data" / "astronaut.png" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise InputError(
            "the built-in portrait is not here (scikit-image's astronaut.png): install the "
            "requirements again, or give images with --calibrate"
        )
    return read_picture(path).pixels_bgr


def _varied(portrait: NDArray[np.uint8], random: np.random.Generator, *, mirrored: bool) -> Sample:
    """The portrait moved about its face, in other light, sometimes soft."""
    centre = _LANDMARKS_XY.mean(0)
    turn, scale = random.uniform(-25, 25), random.uniform(0.7, 1.6)
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), turn, scale)
    matrix[:, 2] += (_SIDE_PX / 2, _SIDE_PX / 2) - centre + random.uniform(-60, 60, 2)
    moved = cv2.warpAffine(portrait, matrix, (_SIDE_PX, _SIDE_PX), borderMode=cv2.BORDER_REFLECT)
    landmarks = _LANDMARKS_XY @ matrix[:, :2].T + matrix[:, 2]
    if mirrored:
        moved = np.ascontiguousarray(moved[:, ::-1])
        landmarks = (landmarks * (-1, 1) + (_SIDE_PX - 1, 0))[list(_MIRRORED)]
    if random.random() < 0.3:
        moved = cv2.GaussianBlur(moved, (0, 0), 1.5)
    light = random.uniform(0.6, 1.2) * random.uniform(0.9, 1.1, 3)
    pixels = np.asarray(moved, np.float64) * light + random.uniform(0, 30)
    low, high = landmarks.min(0), landmarks.max(0)
    margin = (high - low) * 0.6
    face = Face(
        box_xyxy=np.concatenate([low - margin, high + margin]).astype(np.float32),
        score=1.0,
        landmarks_xy=landmarks.astype(np.float32),
    )
    shown = np.ascontiguousarray(np.clip(pixels, 0, 255), np.uint8)
    return Sample(picture=StillPicture(shown), face=face)
