"""Which video stream of a file is rendered: the one that a player shows.

Covers never are; streams flagged as default go before others. Of those left, one that shows far
fewer frames than another (stills that phones record beside a video) is none; then size decides.
Not for: what a decoder must know of the stream (`farm.media.probe`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from farm.errors import MediaError

_FEW_DIVISOR = 2
"""A stream with less than the most frames divided by this is a track of stills beside a video."""


def main_video_stream(container: InputContainer, path: Path, chosen: int | None) -> VideoStream:
    """Return the stream to render.

    Args:
        container: The open file.
        path: Its name, for messages.
        chosen: Index among all streams of the file, None to choose.

    Raises:
        MediaError: There is no such stream, or none with pictures that move.
    """
    if chosen is not None:
        found = [s for s in container.streams.video if s.index == chosen]
        if not found:
            numbers = ", ".join(str(s.index) for s in container.streams.video) or "none"
            raise MediaError(
                f"{path}: stream {chosen} is no video stream; video streams: {numbers}"
            )
        return found[0]
    videos = _videos(container)
    if not videos:
        raise MediaError(f"{path}: has no video stream; give a file with moving pictures")
    default = [s for s in videos if s.disposition & Disposition.default] or videos
    counts = [_frames(stream) for stream in default]
    most = max((count for count in counts if count is not None), default=0)
    moving = [
        stream
        for stream, count in zip(default, counts, strict=True)
        if count is None or count * _FEW_DIVISOR >= most
    ]
    return max(moving, key=_area)


def choice_notes(container: InputContainer, taken: VideoStream) -> tuple[str, ...]:
    """What is to be said where there were several video streams to choose among."""
    others = [stream for stream in _videos(container) if stream.index != taken.index]
    if not others:
        return ()
    named = ", ".join(_described(stream) for stream in others)
    return (f"video stream {_described(taken)} is rendered, not {named}; --video-stream chooses",)


def _videos(container: InputContainer) -> list[VideoStream]:
    """All video streams but covers."""
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _frames(stream: VideoStream) -> int | None:
    """Frames that the container counts, or that fit into its duration; None where it says nothing.

    Containers that say nothing of one stream say nothing of the others either.
    """
    if stream.frames:
        return stream.frames
    if not (stream.duration and stream.time_base and stream.average_rate):
        return None
    return round(stream.duration * Fraction(stream.time_base) * stream.average_rate)


def _area(stream: VideoStream) -> int:
    """Pixels of a picture; 0 where nobody knows the codec."""
    context = stream.codec_context
    return 0 if context is None else (context.width or 0) * (context.height or 0)


def _described(stream: VideoStream) -> str:
    """Number, size and frames of a stream."""
    context, frames = stream.codec_context, _frames(stream)
    size = "unknown codec" if context is None else f"{context.width}x{context.height}"
    count = "" if frames is None else f", {frames} frame{'s' if frames != 1 else ''}"
    return f"{stream.index} ({size}{count})"
