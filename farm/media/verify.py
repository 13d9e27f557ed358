"""Looking at the finished file as a player does, before it gets its name.

Nothing that the muxer says is believed: packets are read back, the tail and the first picture of
each chunk are decoded. Not for: judging quality.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from farm.errors import VerifyError
from farm.media.clock import ClockSegment
from farm.media.containers import KeptStream, StreamKind
from farm.media.demux import demuxed
from farm.media.encoders import EncoderChoice
from farm.media.join import Chunk
from farm.media.orientation import orientation_of
from farm.media.probe import open_container
from farm.media.stream import StreamParameters
from farm.media.timing import FrameTimes, TimeRange
from farm.media.verify_audio import check_audio
from farm.media.verify_pictures import PictureCheck, check_every_picture
from farm.settings import VerifyLevel

_ROUNDED = Fraction(1, 2000)
"""Seconds that a timestamp may be off where the container's clock is 1 ms."""
_SEEK_BACK = Fraction(2)
"""Seconds."""
_LIMITED = 1
_IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1073741824)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the finished file must show."""

    source: Path
    source_video_index: int
    stream: StreamParameters
    times: FrameTimes
    choice: EncoderChoice
    chunks: tuple[Chunk, ...]
    first_packets: tuple[int, ...]
    kept: tuple[KeptStream, ...]
    cut: TimeRange | None = None
    """The stretch of the source that is kept."""
    clock: tuple[ClockSegment, ...] = ()
    """How the clock of the source jumps."""
    shift: Fraction
    """Seconds that the whole was moved by."""
    absolute: bool
    """Whether the container keeps the moment at which the video begins."""
    exact_times: bool
    tick: Fraction
    """Seconds; the coarsest rounding of a container with exact times (MPEG-TS: 1/90000)."""
    display_matrix: bool
    """Whether the container and the ffmpeg that wrote it keep the display matrix."""


@dataclass(slots=True)
class _Seen:
    """What one reading of the packets of the rendered stream gathers."""

    pts: list[int] = field(default_factory=list)
    key_pts: list[int] = field(default_factory=list)
    packets: int = 0


def verify(path: Path, expected: Expected, level: VerifyLevel) -> None:
    """Check the finished file.

    Raises:
        VerifyError: it does not show what was rendered; the message says what differs.
        MediaError: it cannot even be opened.
    """
    with open_container(path) as container:
        video = _rendered_stream(container)
        _check_streams(container, expected)
        time_base = Fraction(video.time_base)
        pictures = PictureCheck(expected.chunks, expected.first_packets, video.codec_context)
        index = int(video.index)
        seen = _read(container, index, pictures)
        pictures.finish()
    first = _check_times(seen, time_base, expected)
    _check_tail(path, index, seen)
    check_audio(
        path,
        expected.source,
        expected.kept,
        first,
        _source_first(expected),
        expected.cut,
        expected.clock,
    )
    if level is VerifyLevel.FULL:
        check_every_picture(path, index, expected.chunks, expected.choice)


def _rendered_stream(container: InputContainer) -> Any:
    """The rendered stream: always the first, and a video."""
    stream = container.streams[0] if len(container.streams) else None
    if stream is None or stream.type != "video" or stream.codec_context is None:
        raise VerifyError("the first stream of the output is no video that decodes")
    return stream


def _check_streams(container: InputContainer, expected: Expected) -> None:
    """Compare what the container says: streams, size, aspect ratio, colour, display matrix."""
    for kind, name in (
        (StreamKind.AUDIO, "audio"),
        (StreamKind.SUBTITLE, "subtitles"),
        (StreamKind.ATTACHMENT, "attachments"),
    ):
        due = sum(each.kind is kind for each in expected.kept)
        found = len(getattr(container.streams, name))
        if found != due:
            raise VerifyError(f"the output has {found} {kind} streams where {due} were kept")
    video: Any = container.streams[0]
    context, choice = video.codec_context, expected.choice
    size = (context.width, context.height)
    if size != (expected.stream.width, expected.stream.height):
        raise VerifyError(f"the output's pictures are {size[0]}x{size[1]}")
    due_ratio, ratio = choice.sample_aspect_ratio, video.sample_aspect_ratio
    if due_ratio and (not ratio or abs(ratio / due_ratio - 1) > Fraction(1, 100)):
        raise VerifyError(f"the output's sample aspect ratio is {ratio}, it must be {due_ratio}")
    _check_color(context, choice)
    if expected.display_matrix:
        _check_matrix(container, expected.stream.display_matrix)


def _check_color(context: Any, choice: EncoderChoice) -> None:
    """Compare the colour tags that the source has."""
    color = choice.color
    for name, due, unknown in (
        ("color_range", color.range, 0),
        ("colorspace", color.space, 2),
        ("color_primaries", color.primaries, 2),
        ("color_trc", color.trc, 2),
    ):
        found = int(getattr(context, name))
        if name == "color_range" and {found, due} == {unknown, _LIMITED}:
            continue  # H.264 and HEVC leave it out when nothing else is said: it is the default
        if due != unknown and found != due:
            raise VerifyError(f"the output's {name} is {found}, it must be {due}")


def _check_matrix(container: InputContainer, due: tuple[int, ...] | None) -> None:
    """Decode one frame, which carries the display matrix, and compare how it is turned."""
    frame = next(iter(container.decode(container.streams.video[0])), None)
    if frame is None:
        raise VerifyError("the output's video does not decode")
    attached: Any = frame.side_data
    raw = next((bytes(d) for d in attached if d.type.name == "DISPLAYMATRIX"), None)
    found = tuple(int(each) for each in np.frombuffer(raw, np.int32)) if raw else _IDENTITY
    if orientation_of(found) != orientation_of(due or _IDENTITY):
        raise VerifyError("the output is turned another way than the source (display matrix)")
    container.seek(0)


def _read(container: InputContainer, index: int, pictures: PictureCheck) -> _Seen:
    """Read every packet of the rendered stream."""
    seen = _Seen()
    for packet in demuxed(container, container.streams[index]):
        if not packet.size:
            continue
        if packet.pts is None:
            raise VerifyError(f"packet {seen.packets} of the output has no timestamp")
        pictures.packet(seen.packets, packet)
        if not packet.is_discard:
            seen.pts.append(packet.pts)
        if packet.is_keyframe:
            seen.key_pts.append(packet.pts)
        seen.packets += 1
    return seen


def _check_times(seen: _Seen, time_base: Fraction, expected: Expected) -> Fraction:
    """Compare count and timestamps of the shown frames; returns when the first is shown, in s."""
    due, found = expected.times, np.sort(np.array(seen.pts, dtype=np.int64))
    if len(found) != len(due):
        raise VerifyError(f"the output shows {len(found)} frames where {len(due)} were rendered")
    first = int(found[0]) * time_base
    due_first = int(due.pts[0]) * due.time_base + expected.shift
    allowed = expected.tick if expected.exact_times else _ROUNDED
    if expected.absolute and abs(first - due_first) > allowed:
        raise VerifyError(
            f"the output's video begins at {float(first):.6f} s, "
            f"it must at {float(due_first):.6f} s"
        )
    origin = due_first if expected.absolute else first
    _check_each(found, time_base, expected, origin, allowed)
    return first


def _check_each(
    found: np.ndarray[Any, np.dtype[np.int64]],
    time_base: Fraction,
    expected: Expected,
    origin: Fraction,
    slack: Fraction,
) -> None:
    """Compare every timestamp with integers only, relative to `origin`, seconds."""
    due = expected.times
    unit = Fraction(
        1, math.lcm(time_base.denominator, due.time_base.denominator, origin.denominator)
    )
    here = found.astype(object) * int(time_base / unit) - int(origin / unit)
    there = (due.pts - due.pts[0]).astype(object) * int(due.time_base / unit)
    off = np.flatnonzero(np.abs(here - there) > int(slack / unit))
    if len(off):
        frame = int(off[0])
        raise VerifyError(
            f"{len(off)} timestamps of the output are wrong, first that of frame {frame}: "
            f"{float(here[frame] * unit):.6f} s instead of {float(there[frame] * unit):.6f} s"
        )


def _check_tail(path: Path, index: int, seen: _Seen) -> None:
    """Decode from the last keyframe on: a last frame that an edit list hides does not come out."""
    start = max(seen.key_pts)
    due = sorted(pts for pts in seen.pts if pts >= start)
    shown = sorted(_decoded_from(path, index, start))
    if shown != due:
        raise VerifyError(
            f"from the last keyframe on {len(shown)} of {len(due)} frames of the output are shown"
        )


def _decoded_from(path: Path, index: int, start: int) -> Iterator[int]:
    """Timestamps of the frames that a player shows from `start` on."""
    with open_container(path) as container:
        stream: Any = container.streams[index]
        stream.thread_type = "AUTO"
        # A transport stream has no table of keyframes: a seek may land behind the wanted one.
        back = round(_SEEK_BACK / stream.time_base) if container.format.name == "mpegts" else 0
        container.seek(start - back, stream=stream)
        try:
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts >= start:
                    yield frame.pts
        except av.FFmpegError as error:
            raise VerifyError(f"the end of the output does not decode ({error})") from error


def _source_first(expected: Expected) -> Fraction:
    return int(expected.times.pts[0]) * expected.times.time_base
