"""Frames in another shape, where that was asked for: deinterlaced, scaled, brought to one format.

What is not asked for is not done; frames pass through as they are. Not for: regions
(`farm.media.frame`) or pixel formats of encoders (`farm.media.pixel_formats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import av.filter
from av.video.frame import VideoFrame

from farm.errors import MediaError
from farm.media.stream import StreamParameters
from farm.settings import OnChange, ShapeSettings

_SCALING = "flags=lanczos+accurate_rnd+bitexact+full_chroma_int"
_DEINTERLACING = ("estdif", "mode=frame:deint=interlaced")
"""Looks at one frame only, so that a chunk needs none of its neighbours."""
_TICK = Fraction(1, 1000)
_PROGRESSIVE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape:
    """What is done to the shape of frames; part of the job's identity."""

    deinterlace: bool = False
    size: tuple[int, int] | None = None
    """Width and height of the stored picture; None keeps them."""
    on_change: OnChange = OnChange.REFUSE

    @property
    def idle(self) -> bool:
        """Whether frames pass through as they are decoded."""
        return not self.deinterlace and self.size is None and self.on_change is OnChange.REFUSE


def reshape_of(stream: StreamParameters, settings: ShapeSettings) -> Reshape:
    """What the settings, which speak of the upright picture, mean for a stream."""
    size = settings.size
    if size is not None and stream.rotation in (90, 270):
        size = (size[1], size[0])
    return Reshape(deinterlace=settings.deinterlace, size=size, on_change=settings.on_change)


def output_stream(stream: StreamParameters, reshape: Reshape) -> StreamParameters:
    """The stream as it is encoded; what is shown keeps its proportions."""
    if reshape.deinterlace:
        stream = replace(stream, field_order=_PROGRESSIVE)
    if reshape.size in (None, (stream.width, stream.height)):
        return stream
    width, height = reshape.size or (stream.width, stream.height)
    ratio = stream.sample_aspect_ratio or Fraction(1)
    ratio *= Fraction(stream.width * height, stream.height * width)
    square = abs(ratio - 1) < Fraction(1, 100)
    kept = stream.sample_aspect_ratio if square and not stream.sample_aspect_ratio else ratio
    return replace(stream, width=width, height=height, sample_aspect_ratio=kept)


def reshape_notes(stream: StreamParameters, reshape: Reshape) -> tuple[str, ...]:
    """What is to be said of it before the start."""
    notes = []
    interlaced = stream.field_order > _PROGRESSIVE
    if reshape.deinterlace:
        notes.append(
            "deinterlaced: each frame is made of its first field"
            if interlaced
            else "--deinterlace: the source says that it is progressive; frames flagged as "
            "interlaced become progressive, others stay"
        )
    elif interlaced:
        notes.append("interlaced: kept so, faces are found and edited field by field")
    if reshape.size not in (None, (stream.width, stream.height)):
        size = "{}x{}".format(*reshape.size or ())
        notes.append(f"scaled from {stream.width}x{stream.height} to {size}, after the faces")
    return tuple(notes)


def steady(frame: VideoFrame, stream: StreamParameters) -> VideoFrame:
    """The frame in the size and format of the stream; itself where it has them."""
    if (frame.width, frame.height) != (stream.width, stream.height):
        frame = _scaled(frame, (stream.width, stream.height))
    if frame.format.name != stream.pix_fmt:
        frame = frame.reformat(format=stream.pix_fmt, threads=1)
    return frame


def deinterlaced(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Progressive frames, as many as are given; those not flagged as interlaced stay.

    The last one comes when `frames` is exhausted.
    """
    chain: _Chain | None = None
    for frame in frames:
        if chain is None:
            chain = _Chain(frame, [_DEINTERLACING])
        yield from chain.push(frame)
    if chain is not None:
        yield from chain.end()


class Scaler:
    """Scales frames of one size and format to another size, fields by themselves."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Scale to `size`, width and height."""
        self._size = size
        self._chain: _Chain | None = None

    def scale(self, frame: VideoFrame) -> VideoFrame:
        """The scaled frame; the same where it has that size already."""
        if (frame.width, frame.height) == self._size:
            return frame
        if self._chain is None:
            self._chain = _Chain(frame, [_scale_filter(self._size)])
        return self._chain.push(frame)[0]


def _scaled(frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    return _Chain(frame, [_scale_filter(size)]).push(frame)[0]


def _scale_filter(size: tuple[int, int]) -> tuple[str, str]:
    return "scale", f"{size[0]}:{size[1]}:interl=-1:{_SCALING}"


class _Chain:
    """A chain of libavfilter for frames like the first one."""

    def __init__(self, like: VideoFrame, filters: list[tuple[str, str]]) -> None:
        graph = av.filter.Graph()
        graph.threads = 1
        first: Any = graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=_TICK
        )
        last = first
        for name, options in filters:
            following = graph.add(name, options)
            last.link_to(following)
            last = following
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        self._graph, self._source, self._sink = graph, first, sink
        self._count = 0

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        """Give a frame; returns what comes out."""
        frame.pts, frame.time_base = self._count, _TICK
        self._count += 1
        return self._run(frame)

    def end(self) -> list[VideoFrame]:
        """Return what is left inside."""
        return self._run(None)

    def _run(self, frame: VideoFrame | None) -> list[VideoFrame]:
        found: list[VideoFrame] = []
        try:
            self._source.push(frame)
            while True:
                made = self._sink.pull()
                assert isinstance(made, VideoFrame)
                found.append(made)
        except (av.BlockingIOError, av.EOFError):
            return found
        except av.FFmpegError as error:
            raise MediaError(
                f"a frame cannot be brought to another shape ({error.strerror}); "
                "render without --scale and --deinterlace"
            ) from error
