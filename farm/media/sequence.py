"""Finishing a video as a sequence of images: one file for each frame, upright.

Not for: `--keep-frames`, which writes frames beside a video (`farm.render`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.errors import JobError, SettingsError, VerifyError
from farm.image_names import numbered
from farm.marks.embed import embed_mark
from farm.marks.mark import Mark
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import read_packets
from farm.media.join import Chunk
from farm.media.orientation import turn_upright
from farm.media.pixel_formats import to_pix_fmt, traits_of
from farm.media.still import Still, losses, read_still, write_still
from farm.media.stream import ColorTags, StreamParameters
from farm.media.tone import HLG, PQ

Progress = Callable[[int, int], None]
_FIRST = 1
"""Number of the first image, as ffmpeg counts."""
_RGB = 0
_FULL = 2


def write_sequence(
    chunks: tuple[Chunk, ...],
    output: Path,
    folder: Path,
    *,
    stream: StreamParameters,
    mark: Mark,
    overwrite: bool,
    progress: Progress | None = None,
) -> tuple[int, str, tuple[str, ...]]:
    """Write every frame of lossless chunks, and put all images in place when all are there.

    Args:
        chunks: In order, without gaps.
        output: The pattern of names; its folder is there.
        folder: A folder for images that are not complete yet, on the same disk if that can be.
        stream: Of the chunks.
        mark: What altered the pictures.
        overwrite: Whether images that are there already may be replaced.
        progress: Called with frames written and frames in all.

    Returns:
        Bytes of all images, a hash over them, and what is to be said.

    Raises:
        SettingsError: An image is there already.
        JobError: A frame does not decode or an image cannot be written.
        VerifyError: An image does not hold the frame that it was made of.
    """
    if stream.pix_fmt.startswith("yuvj"):
        # Lossless chunks hold the same samples in a format whose name does not say so.
        stream = replace(stream, color=replace(stream.color, range=_FULL))
    total = sum(chunk.header.frame_count for chunk in chunks)
    targets = [numbered(output, _FIRST + number) for number in range(total)]
    _check_free(targets, overwrite)
    digest, size, notes = hashlib.sha256(), 0, sequence_notes(stream, output)
    written: list[Path] = []
    for number, still in enumerate(_stills(chunks, stream)):
        path = folder / targets[number].name
        write_still(still, path)
        embed_mark(path, mark)
        _check(path, still, number)
        data = path.read_bytes()
        digest.update(data)
        size += len(data)
        written.append(path)
        if progress is not None:
            progress(number + 1, total)
    if len(written) != total:
        raise JobError(f"{len(written)} of {total} frames decode; run the command again")
    _check_free(targets, overwrite)
    for path, target in zip(written, targets, strict=True):
        shutil.move(path, target)
    return size, digest.hexdigest(), notes


def sequence_notes(stream: StreamParameters, output: Path) -> tuple[str, ...]:
    """What images do not hold of a video's pictures."""
    blank = Still(frame=VideoFrame(16, 16, _pix_fmt(stream.pix_fmt)), color_profile=None)
    notes = losses(blank, output.suffix)
    ratio = stream.sample_aspect_ratio
    if ratio and ratio != 1:
        notes.append(f"images have square pixels: those of the source are {ratio}")
    if stream.color.trc in (PQ, HLG):
        notes.append("the images hold the HDR signal as it is coded; viewers show it flat")
    return tuple(notes)


def _stills(chunks: tuple[Chunk, ...], stream: StreamParameters) -> Iterator[Still]:
    for chunk in chunks:
        for frame in decode_packets(read_packets(chunk.path), chunk.header):
            yield Still(frame=_upright(frame, stream), color_profile=None)


def _upright(frame: VideoFrame, stream: StreamParameters) -> VideoFrame:
    pix_fmt = _pix_fmt(frame.format.name)
    target = replace(stream.color, space=_RGB, range=_FULL)
    made = to_pix_fmt(frame, pix_fmt, stream.color, target if "bgr" in pix_fmt else _gray(stream))
    turned = turn_upright(made.to_ndarray(), stream.rotation, stream.flipped)
    return VideoFrame.from_ndarray(np.ascontiguousarray(turned), format=pix_fmt)


def _gray(stream: StreamParameters) -> ColorTags:
    return replace(stream.color, range=_FULL)


def _pix_fmt(source: str) -> str:
    """The format of images that loses nothing of a frame's depth and transparency."""
    gray, alpha, depth = traits_of(source)
    if gray and not alpha:
        return "gray" if depth <= 8 else "gray16le"
    name = "bgra" if alpha else "bgr"
    if depth <= 8:
        return name if alpha else "bgr24"
    return f"{name}{64 if alpha else 48}le"


def _check_free(targets: list[Path], overwrite: bool) -> None:
    there = next((path for path in targets if path.exists()), None)
    if there is not None and not overwrite:
        raise SettingsError(f"{there}: is there already; give --overwrite or another --output")


def _check(path: Path, still: Still, number: int) -> None:
    """Read an image back."""
    wanted, found = still.frame.to_ndarray(), read_still(path).frame.to_ndarray()
    same = found.shape[:2] == wanted.shape[:2]
    if same and path.suffix.lower() in (".png", ".tif", ".tiff"):
        same = np.array_equal(found, wanted)
    elif same:
        same = cv2.norm(_small(found), _small(wanted), cv2.NORM_L1) / 64 < 24 * 3
    if not same:
        raise VerifyError(f"{path.name} does not show frame {number}, which it was made of")


def _small(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Means of 8 x 8 cells, 8 bits, three colours."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    scale = 257 if pixels.dtype == np.uint16 else 1
    levels = pixels[..., :3].astype(np.float32) / np.float32(scale)
    return np.asarray(cv2.resize(levels, (8, 8), interpolation=cv2.INTER_AREA), np.float32)
