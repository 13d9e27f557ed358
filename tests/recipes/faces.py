"""Recipes of clips with a square that the made detectors take for a face, moving to the right.

Not for: real faces.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.recipes.studio import Recipe, Studio

FACE_FRAMES = 24
FACE_SIZE = (192, 128)
_BOX = (40, 30, 90, 80)
_MAGENTA_BGR = (255, 0, 255)
_FFV1 = ("-c:v", "ffv1", "-level", "3")


def face_box(number: int) -> tuple[int, int, int, int]:
    """Where the square is in a picture of the raw clip."""
    left, top, right, bottom = _BOX
    return left + 2 * number, top, right + 2 * number, bottom


def _raw_faces(studio: Studio, frames: int = FACE_FRAMES, shown: range | None = None) -> Path:
    """The clip without any coding; the square is there in the frames `shown`, or in all."""
    path = studio.folder / f"raw_faces_{frames}{'_some' if shown else ''}.nut"
    gray = np.random.default_rng(1).integers(60, 160, (*FACE_SIZE[::-1], 1), dtype=np.uint8)
    noise = np.repeat(gray, 3, axis=2)  # as HDR, noise of all colours would be full of magenta
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = *FACE_SIZE, "bgr24"
        for number in range(frames):
            picture = noise.copy()
            left, top, right, bottom = face_box(number - (shown.start if shown else 0))
            if shown is None or number in shown:
                picture[top:bottom, left:right] = _MAGENTA_BGR
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _faces(name: str, filters: str, *options: str, frames: int = FACE_FRAMES) -> Recipe:
    def make(studio: Studio, path: Path) -> None:
        raw = _raw_faces(studio, frames)
        studio.ffmpeg("-i", raw, "-vf", filters, *(options or _FFV1), path)

    return Recipe(name=name, make=make, stamps=None)


def _turned(studio: Studio, path: Path) -> None:
    source = studio.path("faces.mp4")
    studio.ffmpeg("-display_rotation", "90", "-i", source, "-c", "copy", path)


def _some(*options: str) -> Callable[[Studio, Path], None]:
    """A face in the middle third only; groups of 12 pictures."""

    def make(studio: Studio, path: Path) -> None:
        raw = _raw_faces(studio, 3 * FACE_FRAMES, range(FACE_FRAMES, 2 * FACE_FRAMES))
        studio.ffmpeg("-i", raw, "-pix_fmt", "yuv420p", "-crf", "18", *options, path)

    return make


_GROUPS = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"
_X264 = ("-c:v", "libx264", "-threads", "1", "-x264-params")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
_QUIET = "log-level=error:pools=none"


def _as_hdr(pix_fmt: str, transfer: str) -> str:
    """The RGB signal is taken as one of BT.2020 with this transfer, as a camera would code it."""
    tags = f"colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
    return f"scale=out_color_matrix=bt2020:out_range=tv,format={pix_fmt},setparams={tags}"


_LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p")

RECIPES: tuple[Recipe, ...] = (
    _faces("faces.mp4", "scale=out_color_matrix=bt709,setparams=colorspace=bt709", *_LOSSLESS),
    _faces("faces_hlg.mkv", _as_hdr("yuv420p10le", "arib-std-b67")),
    _faces("faces_pq.mkv", _as_hdr("yuv422p12le", "smpte2084")),
    _faces(
        "faces_interlaced.mkv",
        "format=yuv420p,tinterlace=interleave_top,fieldorder=tff",
        *_FFV1, "-flags", "+ildct",
        frames=2 * FACE_FRAMES,
    ),
    Recipe(name="faces_some.mp4", make=_some(*_X264, f"{_GROUPS}:open-gop=0"), stamps=None),
    Recipe(name="faces_open_264.mp4", make=_some(*_X264, f"{_GROUPS}:open-gop=1"), stamps=None),
    Recipe(
        name="faces_open_265.mp4",
        make=_some(*_X265, f"{_QUIET}:{_GROUPS}:open-gop=1"),
        stamps=None,
    ),
    Recipe(name="faces_rot90.mp4", make=_turned, stamps=None),
)  # fmt: skip
