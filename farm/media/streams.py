"""What a file says of all its streams, for people to read.

Not for: what a decoder must know of the main stream (`farm.media.probe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from farm.media.probe import open_container


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """One stream of a file; what does not apply to its type, or is not said, is None."""

    index: int
    type: str
    """`video`, `audio`, `subtitle`, `data` or `attachment`."""
    codec: str | None
    language: str | None
    disposition: tuple[str, ...]
    """`default`, `forced`, `attached_pic` ..."""
    width: int | None = None
    height: int | None = None
    pix_fmt: str | None = None
    frame_rate: Fraction | None = None
    sample_rate: int | None = None
    channels: int | None = None


def read_streams(path: Path) -> tuple[StreamFacts, ...]:
    """Read what the container says of its streams, in their order.

    Raises:
        MediaError: The file cannot be read.
    """
    with open_container(path) as container:
        return tuple(_facts(stream) for stream in container.streams)


def _facts(stream: Stream) -> StreamFacts:
    """Take down one stream."""
    context: Any = stream.codec_context
    facts: dict[str, Any] = {}
    if isinstance(stream, VideoStream) and context is not None:
        facts = {
            "width": context.width or None,
            "height": context.height or None,
            "pix_fmt": context.pix_fmt,
            "frame_rate": stream.average_rate or stream.guessed_rate,
        }
    elif isinstance(stream, AudioStream) and context is not None:
        facts = {"sample_rate": context.sample_rate, "channels": context.channels}
    flags = Disposition(stream.disposition)
    return StreamFacts(
        index=stream.index,
        type=stream.type,
        codec=None if context is None else context.name,
        language=stream.language,
        disposition=tuple(flag.name for flag in Disposition if flag in flags and flag.name),
        **facts,
    )
