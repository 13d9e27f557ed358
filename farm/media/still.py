"""Reading and writing a single image as a frame that processors can edit.

Bit depth, transparency, the colour profile and EXIF stay; the picture is turned upright as its EXIF
orientation says, and EXIF is cleaned of what shows it as it was (`farm.media.exif`).
Not for: `--source` images (`farm.faces.source`) or the frames of a video (`farm.media.decode`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError, JobError, MediaError
from farm.media.exif import (
    Exif,
    cleaned,
    exif_bytes,
    is_profile,
    orientation,
    read_exif,
    tiff_profile,
    with_tiff_tags,
)

PNG_COMPRESSION = 3
_PIX_FMTS = {
    (1, 8): "gray",
    (3, 8): "bgr24",
    (4, 8): "bgra",
    (1, 16): "gray16le",
    (3, 16): "bgr48le",
    (4, 16): "bgra64le",
}
"""Pixel format by number of components and bits."""
_JPEG = (".jpg", ".jpeg")
_NO_ALPHA = (*_JPEG, ".bmp")
_8_BIT = (*_JPEG, ".bmp", ".webp")
_TIFF = (".tif", ".tiff")
_HOLD_PROFILE = (*_JPEG, ".png", ".webp")
_QUALITY: dict[str, list[int]] = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
}
"""What OpenCV is told by ending; 101 makes WebP lossless."""
_FLIPPED = (2, 4, 5, 7)
_TURNS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_COUNTERCLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_CLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
"""What is left to turn after mirroring left to right, by EXIF orientation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Still:
    """A decoded image."""

    frame: av.VideoFrame
    """Upright, in one of gray, bgr24, bgra and their 16 bit likes."""
    color_profile: bytes | None
    """ICC profile."""
    exif: Exif = field(default_factory=Exif)
    """As the file has it."""


def read_still(path: Path) -> Still:
    """Decode an image, upright.

    Raises:
        MediaError: It cannot be read, is no image, or has a kind of samples that cannot be edited.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # errors are raised
    try:
        pixels, kinds, chunks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MediaError(f"{path}: is a damaged image ({error.err})") from error
    if pixels is None:
        raise MediaError(f"{path}: is no image that can be read; its name says that it is one")
    metadata = {kind: bytes(chunk) for kind, chunk in zip(kinds, chunks, strict=True)}
    components = 1 if pixels.ndim == 2 else pixels.shape[2]
    pix_fmt = _PIX_FMTS.get((components, pixels.dtype.itemsize * 8))
    if pix_fmt is None or pixels.dtype.kind != "u":
        raise MediaError(f"{path}: has {components} x {pixels.dtype} samples; convert it to PNG")
    is_tiff = bytes(data[:4]) in (b"II*\0", b"MM\0*")
    # OpenCV turns TIFF files by itself, and shows neither their EXIF nor their profile.
    exif = read_exif(data.tobytes() if is_tiff else metadata.get(cv2.IMAGE_METADATA_EXIF, b""))
    upright = pixels if is_tiff else _turned(pixels, orientation(exif))
    metadata_profile = metadata.get(cv2.IMAGE_METADATA_ICCP, b"")
    profile = (tiff_profile(data.tobytes()) or b"") if is_tiff else metadata_profile
    return Still(
        frame=av.VideoFrame.from_ndarray(np.ascontiguousarray(upright), format=pix_fmt),
        color_profile=profile if is_profile(profile) else None,
        exif=exif,
    )


def losses(still: Still, suffix: str) -> list[str]:
    """What an image file with this ending cannot hold of the picture."""
    pix_fmt = still.frame.format.name
    found = []
    if suffix.lower() in _NO_ALPHA and "bgra" in pix_fmt:
        found.append(f"{suffix} holds no transparency: it is left out")
    if suffix.lower() in _8_BIT and pix_fmt.endswith("le"):
        found.append(f"{suffix} holds 8 bits: 16 bits are rounded")
    if suffix.lower() not in _HOLD_PROFILE + _TIFF and still.color_profile:
        found.append(f"{suffix} is written without a colour profile: the source's is left out")
    if suffix.lower() in _JPEG:
        found.append(f"{suffix} is lossy: untouched pixels change slightly; .png keeps them")
    return found


def write_still(still: Still, path: Path, *, strip_metadata: bool = False) -> None:
    """Encode the image by the ending of `path`; it is there as a whole or not at all.

    Args:
        still: The image.
        path: Where it is written.
        strip_metadata: Whether EXIF that tells place and device is left out.

    Raises:
        JobError: It cannot be encoded.
        InputError: It cannot be written.
    """
    suffix = path.suffix.lower()
    pixels = _fitting(still, suffix)
    exif = cleaned(still.exif, strip=strip_metadata)
    kinds, chunks = [], []
    if suffix in _HOLD_PROFILE:
        if exif:
            kinds.append(cv2.IMAGE_METADATA_EXIF)
            chunks.append(np.frombuffer(exif_bytes(exif), np.uint8))
        if still.color_profile:
            kinds.append(cv2.IMAGE_METADATA_ICCP)
            chunks.append(np.frombuffer(still.color_profile, np.uint8))
    try:
        done, data = cv2.imencodeWithMetadata(
            suffix, pixels, kinds, chunks, _QUALITY.get(suffix, [])
        )
    except cv2.error as error:
        raise JobError(f"{path}: cannot be encoded as {suffix} ({error.err})") from error
    if not done:
        raise JobError(f"{path}: cannot be encoded as {suffix}; choose .png")
    written = data.tobytes()
    if suffix in _TIFF and (exif or still.color_profile):
        written = with_tiff_tags(written, exif, still.color_profile)
    _put(path, written)


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The pixels as a viewer shows them."""
    if orientation in _FLIPPED:
        pixels = cv2.flip(pixels, 1)
    turn = _TURNS.get(orientation)
    return pixels if turn is None else cv2.rotate(pixels, turn)


def _fitting(still: Still, suffix: str) -> NDArray[Any]:
    """The pixels as far as files with this ending can hold them."""
    pixels: NDArray[Any] = still.frame.to_ndarray()
    if suffix in _NO_ALPHA and pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[..., :3]
    if suffix in _8_BIT and pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _put(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then give it its own."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)
