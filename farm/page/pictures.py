"""Pictures and picture quality for a report: strips of before and after, and jumps at borders.

Reads a few frames of source and output. Where faces are hidden only results are shown. Not for:
proving that an output is right (`farm.media.verify`).
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.media.probe import open_container

_STRIP_PX = 220
_QUALITY = 82
_NO_ERROR_DB = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One moment, as it was and as it is."""

    time_s: float
    before: str | None
    """JPEG as a data address; None where faces are hidden."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """How the quality changes from one frame to the next, in dB of luma PSNR against the source."""

    borders_db: float | None
    """Mean over chunk borders; None where there is none to look at."""
    keyframes_db: float | None
    """Mean over keyframes of the output that are no border."""


def strips(
    source: Path, output: Path, times_s: Sequence[float], *, start_s: float = 0.0, hidden: bool
) -> list[Strip]:
    """Frames of both files at some moments; a moment that does not decode is left out.

    Args:
        source: The source; not opened where faces are hidden.
        output: The output.
        times_s: Moments of the output.
        start_s: Where the output begins in the source.
        hidden: Whether nothing of the source may be shown.
    """
    with ExitStack() as stack:
        after = stack.enter_context(open_container(output))
        before = None if hidden else stack.enter_context(open_container(source))
        found = []
        for time_s in times_s:
            new = next(_frames(after, time_s, 1), None)
            old = None if before is None else next(_frames(before, start_s + time_s, 1), None)
            if new is not None:
                found.append(
                    Strip(
                        time_s=time_s, before=None if old is None else _jpeg(old), after=_jpeg(new)
                    )
                )
        return found


def quality_jump(
    source: Path, output: Path, borders_s: Sequence[float], keyframes_s: Sequence[float]
) -> Jump:
    """Compare what happens at chunk borders with what happens at ordinary keyframes.

    Args:
        source: The source.
        output: The output, whose frames have the source's times.
        borders_s: When chunks begin.
        keyframes_s: When other keyframes are shown.
    """
    with open_container(source) as before, open_container(output) as after:
        means = []
        for moments in (borders_s, keyframes_s):
            jumps = [jump for s in moments if (jump := _jump_db(before, after, s)) is not None]
            means.append(sum(jumps) / len(jumps) if jumps else None)
    return Jump(borders_db=means[0], keyframes_db=means[1])


def keyframe_times(path: Path, most: int) -> list[float]:
    """When keyframes of a video are shown, some of them, in seconds from its first frame."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        start = stream.start_time or 0
        times = [
            float((packet.pts - start) * packet.time_base)
            for packet in container.demux(stream)
            if packet.is_keyframe and packet.pts is not None
        ]
    step = max(1, len(times) // most)
    return times[::step]


def _jump_db(before: InputContainer, after: InputContainer, time_s: float) -> float | None:
    """Change of PSNR from the frame before a moment to the frame at it."""
    step_s = 1 / float(after.streams.video[0].average_rate or 25)
    old = list(_frames(before, time_s - 1.5 * step_s, 3))
    new = list(_frames(after, time_s - 1.5 * step_s, 3))
    if len(old) < 2 or len(new) < 2 or time_s < step_s:
        return None
    levels = [_psnr_db(a, b) for a, b in zip(old, new, strict=False)]
    return max(abs(b - a) for a, b in itertools.pairwise(levels))


def _frames(container: InputContainer, time_s: float, count: int) -> Iterator[VideoFrame]:
    """Frames from a moment on, in seconds from the first frame."""
    stream = container.streams.video[0]
    start = stream.start_time or 0
    assert stream.time_base is not None
    wanted = start + max(0.0, time_s) / float(stream.time_base)
    try:
        container.seek(int(wanted), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= wanted - 1:
                yield frame
                count -= 1
                if not count:
                    return
    except av.FFmpegError:
        return


def _psnr_db(first: VideoFrame, second: VideoFrame) -> float:
    a, b = (_luma(frame).astype(np.float32) for frame in (first, second))
    if a.shape != b.shape:
        return 0.0
    error = float(np.mean((a - b) ** 2))
    return _NO_ERROR_DB if error == 0 else min(_NO_ERROR_DB, 10 * math.log10(255**2 / error))


def _luma(frame: VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.reformat(format="gray", threads=1).to_ndarray(), np.uint8)


def _jpeg(frame: VideoFrame) -> str:
    """A small picture as a data address, turned as a player turns it."""
    height = max(2, round(frame.height * _STRIP_PX / frame.width))
    small = frame.reformat(width=_STRIP_PX, height=height, format="bgr24", threads=1).to_ndarray()
    turned = np.rot90(small, round(frame.rotation / 90) % 4)
    picture = np.ascontiguousarray(turned, np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
