"""The person to put into the video: one embedding from one or more images of a face.

Not for: targets (`farm.media`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError
from farm.faces.detect import FaceDetector, detect_faces
from farm.faces.face import Face
from farm.faces.recognise import Recogniser, unit
from farm.faces.turned import TurnedDetector
from farm.media.warp import Matrix, inverse, moved_origin, target_box, then, warp

_LEAST_FACE_PX = 24
_MOST_PLACES = 12
"""Faces that a message lists."""
_NOSE_BESIDE = 0.15
_NARROW = 0.65
CLEARLY_LARGEST = 10.0
"""A face this many times as large as every other one is taken for the only one meant."""
TURNED_AWAY_NOTE = (
    "its face is turned away or cut off, which costs likeness; a picture from the front is better"
)


@dataclass(frozen=True, slots=True, eq=False)
class StillPicture:
    """An image in memory, with the methods of a frame that reading needs."""

    pixels_bgr: NDArray[np.uint8]
    """[h, w, 3] uint8 BGR, upright."""

    @property
    def width(self) -> int:
        """Width, in pixels."""
        return int(self.pixels_bgr.shape[1])

    @property
    def height(self) -> int:
        """Height, in pixels."""
        return int(self.pixels_bgr.shape[0])

    def read_warped(
        self, matrix: Matrix, size_px: int, *, black_outside: bool = False
    ) -> NDArray[np.uint8]:
        """An affine part, [size, size, 3] uint8 BGR; outside lies the nearest pixel, or black."""
        left, top, right, bottom = target_box(inverse(matrix), (0, 0, size_px, size_px))
        left, right = min(max(left, 0), self.width - 1), max(min(right, self.width), 1)
        top, bottom = min(max(top, 0), self.height - 1), max(min(bottom, self.height), 1)
        region = self.pixels_bgr[top:bottom, left:right]
        border = 0.0 if black_outside else None
        part = warp(region, then(moved_origin(-left, -top), matrix), (size_px, size_px), border)
        return np.ascontiguousarray(part, np.uint8)

    def to_bgr(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """The picture, scaled down so that no side is longer."""
        ratio = (max_side_px or self.width) / max(self.width, self.height)
        if max_side_px is None or ratio >= 1:
            return self.pixels_bgr
        size = (max(1, round(self.width * ratio)), max(1, round(self.height * ratio)))
        small = cv2.resize(self.pixels_bgr, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small, np.uint8)

    def read_luma(self, max_side_px: int | None = None) -> NDArray[np.uint8]:
        """Brightness of the picture, scaled as `to_bgr`."""
        gray = cv2.cvtColor(self.to_bgr(max_side_px), cv2.COLOR_BGR2GRAY)
        return np.ascontiguousarray(gray, np.uint8)


def read_picture(path: Path) -> StillPicture:
    """The image, turned upright as its EXIF orientation says.

    Raises:
        InputError: The file is missing, unreadable or no image.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"--source {path} cannot be read: {error.strerror or error}") from error
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        raise InputError(f"--source {path} is a damaged image: {error}") from error
    if pixels is None:
        raise InputError(f"--source {path} is not an image that can be read: give a JPEG or PNG")
    return StillPicture(np.ascontiguousarray(pixels, np.uint8))


def source_embedding(
    paths: Sequence[Path],
    detector: FaceDetector,
    recogniser: Recogniser,
    *,
    option: str = "--source",
    number: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> NDArray[np.float32]:
    """[512] float32 of unit length: the mean over the images, each of which shows one face.

    Args:
        paths: Images of one person.
        detector: Finds the faces.
        recogniser: Embeds them.
        option: How the images are named on the command line.
        number: Which face of an image that shows several, from left to right, from 1.
        note: Called with what is odd about an image that is taken.

    Raises:
        InputError: An image is unreadable, or shows no face or several, or the images differ so
            much that they have no mean.
    """
    if not isinstance(detector, TurnedDetector):
        detector = TurnedDetector(detector)
    if not paths:
        raise InputError(f"no image of a face: give one with {option}")
    vectors = []
    for path in paths:
        name = f"{option} {path}"
        picture, face = _only_face(path, detector, name, number)
        vector = recogniser.embed(picture, [face])[0]
        if vector is None:
            raise InputError(f"{name}: its face cannot be aligned: give a clearer image")
        if is_turned_away(face):
            note(f"{name}: {TURNED_AWAY_NOTE}")
        vectors.append(vector)
    mean = unit(np.mean(vectors, axis=0))
    if mean is None:
        raise InputError(f"the {option} images show different people: give images of one person")
    return mean


def is_turned_away(face: Face) -> bool:
    """Whether a face is seen so much from the side, or is cut off so far, that it tells less.

    The nose is beside the eyes, or the eyes are near each other against their height above the
    mouth. Measured: from the front the nose is at 0.42 to 0.62 of the way from eye to eye, and the
    eyes are 0.95 to 1.2 times as far apart as they are above the mouth; from half a side -0.13 to
    0.01 and 0.6. Where eyes were 0.63 times as far apart, the likeness to the same face from
    the front was 0.4 to 0.55, where 1 is the same picture.
    """
    points = face.landmarks_xy
    if points is None or not np.isfinite(points).all():
        return False
    left, right, nose, *corners = points.astype(np.float64)
    across, down = right - left, np.mean(corners, axis=0) - (left + right) / 2
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if not width or not height:
        return True
    place = float((nose - left) @ across) / width**2
    return not _NOSE_BESIDE <= place <= 1 - _NOSE_BESIDE or width < _NARROW * height


def _only_face(
    path: Path, detector: FaceDetector, name: str, number: int | None
) -> tuple[StillPicture, Face]:
    """The face of one image that is meant, and the picture that it is in."""
    picture = read_picture(path)
    faces = detect_faces(detector, [picture])[0]
    if not faces:
        # A face that fills the picture is found when there is room around it.
        picture = _with_border(picture)
        faces = detect_faces(detector, [picture])[0]
    face = _meant(faces, name, number)
    _refuse_tiny(face, name)
    return picture, face


def _refuse_tiny(face: Face, name: str) -> None:
    """Refuse a face of so few pixels that it could be anybody's.

    Source: measured with ArcFace on a portrait scaled down: at 24 pixels the likeness to itself is
    0.55, at 12 pixels 0.2, where 0.3 is taken for the same person.
    """
    left, top, right, bottom = (float(v) for v in face.box_xyxy)
    side = max(right - left, bottom - top)
    if side < _LEAST_FACE_PX:
        raise InputError(
            f"{name}: its face has only {side:.0f} pixels, at least {_LEAST_FACE_PX} are needed: "
            "give a larger image"
        )


def _meant(faces: Sequence[Face], name: str, number: int | None) -> Face:
    """The one face of an image, or the one that is meant."""
    if not faces:
        raise InputError(f"{name} shows no face: give an image with one face, seen from the front")
    ordered = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    if number is not None and len(faces) > 1:
        if number > len(faces):
            raise InputError(f"{name} shows {_places(ordered)}: there is no --source-face {number}")
        return ordered[number - 1]
    if len(faces) > 1 and faces[0].area_px < CLEARLY_LARGEST * faces[1].area_px:
        raise InputError(
            f"{name} shows {_places(ordered)}: say which with --source-face, or crop the image"
        )
    return faces[0]


def _places(faces: Sequence[Face]) -> str:
    """Faces from left to right, each with its number and the pixel at its middle."""
    middles = [(face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 for face in faces]
    shown = [f"{i} at ({x:.0f}, {y:.0f})" for i, (x, y) in enumerate(middles[:_MOST_PLACES], 1)]
    more = ", ..." if len(faces) > _MOST_PLACES else ""
    return f"{len(faces)} faces, from left to right {', '.join(shown)}{more}"


def _with_border(picture: StillPicture) -> StillPicture:
    """The picture with a black border of half its size on every side."""
    y, x = picture.height // 2, picture.width // 2
    wide = cv2.copyMakeBorder(picture.pixels_bgr, y, y, x, x, cv2.BORDER_CONSTANT)
    return StillPicture(np.ascontiguousarray(wide, np.uint8))
