"""The index of a video: every packet of the main stream, by demuxing alone.

The index is a hypothesis with a class. *Trusted*: each packet shows one frame and presentation
order is pts order, so the plan needs no decoding. *Untrusted*: a serial decode lists the frames
first (`farm.media.listing`). Not for: packet bytes (`farm.media.packets`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.chroma import CODECS, chroma_location
from farm.media.crop import CropTag, read_crop
from farm.media.damage import find_damage
from farm.media.demux import demuxed
from farm.media.dolby_vision import read_record
from farm.media.hdr import HdrMetadata
from farm.media.keyframes import is_predicted_h264, is_sequence, stream_header
from farm.media.limits import check_length
from farm.media.main_stream import choice_notes, main_video_stream
from farm.media.parameter_sets import split_sets
from farm.media.probe import open_container, read_parameters
from farm.media.stream import StreamParameters

NO_PTS: int = np.iinfo(np.int64).min
_HIDING_CODECS = frozenset({"vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "libaom-av1"})
_UNTIMED_FORMATS = frozenset(
    {"avi", "h264", "hevc", "mpegvideo", "m4v", "obu", "vvc", "h263", "vc1"}
)
_REPORT_EVERY = 10_000
_CHANGING_SIDE_DATA = frozenset({"new_extradata", "param_change"})
_KEYFRAME, _DISCARD, _CORRUPT = 1, 2, 4


class IndexClass(StrEnum):
    """Whether packets alone tell which frames a player shows."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoIndex:
    """All packets of the main video stream, in demux order."""

    path: Path
    container: str
    stream_index: int
    stream: StreamParameters
    pts: NDArray[np.int64]
    """[n] ticks; `NO_PTS` where the file has none."""
    dts: NDArray[np.int64]
    durations: NDArray[np.int64]
    """[n] ticks; 0 where unknown."""
    sizes: NDArray[np.int64]
    """[n] bytes."""
    keyframes: NDArray[np.bool_]
    """[n] flagged by the demuxer and not seen to be predicted; not yet proven."""
    discarded: NDArray[np.bool_]
    """[n] decoded but not shown (edit lists)."""
    index_class: IndexClass
    reasons: tuple[str, ...]
    """Why the index is not trusted."""
    damage: tuple[str, ...]
    """What the demuxer already found broken."""
    duration_s: Fraction | None
    crop: CropTag | None = None
    """What the container hides of the stored picture."""
    dolby_vision: bytes = b""
    """The container's record of Dolby Vision, empty where it has none."""
    hdr: HdrMetadata | None = None
    """Of the first frame."""
    notes: tuple[str, ...] = ()
    """What is to be said of the choice of the stream."""

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(slots=True)
class _Reading:
    """What one pass over the file gathers, as plain numbers: 33 bytes a packet."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    """Pts, dts, duration and size of each packet."""
    flags: bytearray = field(default_factory=bytearray)
    ends: dict[int, int] = field(default_factory=dict)
    """By stream: end of its last packet, in its ticks."""
    broken: str = ""
    headers: set[bytes] = field(default_factory=set)
    """What keyframes say of the pictures' size and format; one thing, where it never changes."""

    def add(self, packet: Packet[Any], keyframe: bool) -> None:
        """Append a packet of the main stream."""
        pts = NO_PTS if packet.pts is None else packet.pts
        dts = NO_PTS if packet.dts is None else packet.dts
        self.numbers.extend((pts, dts, packet.duration or 0, packet.size))
        self.flags.append(
            _KEYFRAME * keyframe + _DISCARD * packet.is_discard + _CORRUPT * packet.is_corrupt
        )

    def see_header(self, packet: Packet[Any], stream: StreamParameters) -> None:
        """Note what a keyframe, or the container with it, says of the pictures."""
        header = stream_header(stream.codec, memoryview(packet), stream.extradata)
        for data in packet.iter_sidedata():
            if data.data_type in _CHANGING_SIDE_DATA:
                header += bytes(data)
        if header:
            self.headers.add(header)

    def table(self) -> NDArray[np.int64]:
        """Return [4, n]: pts, dts, durations and sizes."""
        rows = np.frombuffer(self.numbers, dtype=np.int64).reshape(-1, 4)
        return np.ascontiguousarray(rows.T)

    def flagged(self, flag: int) -> NDArray[np.bool_]:
        """Return [n]: which packets have a flag."""
        return (np.frombuffer(bytes(self.flags), dtype=np.uint8) & flag).astype(np.bool_)


def build_index(
    path: Path,
    video_stream: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> VideoIndex:
    """Read the file once, without decoding, and classify what it holds.

    Args:
        path: The video.
        video_stream: Index of the stream to render, None for the main one.
        progress: Called with the number of packets read so far, now and then.

    Raises:
        MediaError: The file cannot be read or has no video packets.
    """
    with open_container(path) as container:
        taken = main_video_stream(container, path, video_stream)
        number, notes = taken.index, choice_notes(container, taken)
    stream = read_parameters(path, number)
    if stream.codec in CODECS:
        stream = replace(stream, chroma_location=chroma_location(path, number))
    with open_container(path) as container:
        video = container.streams[number]
        assert isinstance(video, VideoStream)
        reading = _read(container, video, stream, progress)
        duration = container.duration
        duration_s = Fraction(duration, av.time_base) if duration and duration > 0 else None
        check_length(path, len(reading.flags), duration_s)
        if not reading.flags:
            raise MediaError(f"{path}: the video stream holds no packets; the file may be cut off")
        name = container.format.name
        return replace(
            _index(path, container, video, stream, reading),
            notes=notes,
            crop=read_crop(path, name, number, (stream.width, stream.height)),
            dolby_vision=read_record(path, name, number),
        )


def _index(
    path: Path,
    container: InputContainer,
    video: VideoStream,
    stream: StreamParameters,
    reading: _Reading,
) -> VideoIndex:
    """Make the index of what was read."""
    pts, dts, durations, sizes = reading.table()
    keyframes, discarded = reading.flagged(_KEYFRAME), reading.flagged(_DISCARD)
    damage = find_damage(
        path,
        container,
        video,
        dts=dts,
        corrupt=reading.flagged(_CORRUPT),
        last_end_s=_last_end_s(container, reading),
        broken=reading.broken,
    )
    name, duration = container.format.name, container.duration
    reasons = _distrust(name, stream, pts, dts, keyframes, discarded)
    reasons += ["damaged"] if damage else []
    reasons += ["the stream's headers change"] if len(reading.headers) > 1 else []
    return VideoIndex(
        path=path,
        container=name,
        stream_index=video.index,
        stream=stream,
        pts=pts,
        dts=dts,
        durations=durations,
        sizes=sizes,
        keyframes=keyframes,
        discarded=discarded,
        index_class=IndexClass.UNTRUSTED if reasons else IndexClass.TRUSTED,
        reasons=tuple(reasons),
        damage=tuple(damage),
        duration_s=Fraction(duration, av.time_base) if duration and duration > 0 else None,
    )


def video_packets(container: InputContainer, stream_index: int) -> Iterator[Packet[Any]]:
    """Yield the packets of one stream that carry data, in the order that numbers them everywhere.

    A demuxer that breaks ends the iteration by its own error.
    """
    for packet in demuxed(container):
        if packet.stream_index == stream_index and packet.size:
            yield packet


def _read(
    container: InputContainer,
    video: VideoStream,
    stream: StreamParameters,
    progress: Callable[[int], None] | None,
) -> _Reading:
    """Demux the whole file, keeping the table of the video stream and the end of all streams."""
    is_h264 = stream.codec == "h264"
    reading = _Reading()
    reading.headers |= {
        unit
        for unit in split_sets(stream.codec, stream.extradata)
        if is_sequence(stream.codec, unit)
    }
    try:
        for count, packet in enumerate(demuxed(container)):
            if progress is not None and count % _REPORT_EVERY == 0:
                progress(count)
            if not packet.size:
                continue
            number = packet.stream_index
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                reading.ends[number] = max(reading.ends.get(number, end), end)
            if number == video.index:
                key = packet.is_keyframe
                if key and is_h264:
                    key = not is_predicted_h264(memoryview(packet), stream.extradata)
                reading.add(packet, key)
                if packet.is_keyframe:
                    reading.see_header(packet, stream)
    except av.FFmpegError as error:
        reading.broken = str(error.strerror or error)
    return reading


def _last_end_s(container: InputContainer, reading: _Reading) -> Fraction:
    """Return where the last packet of all streams ends, in seconds."""
    ends = [
        end * Fraction(container.streams[number].time_base or 0)
        for number, end in reading.ends.items()
    ]
    return max([Fraction(0), *ends])


def _distrust(
    container: str,
    stream: StreamParameters,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    keyframes: NDArray[np.bool_],
    discarded: NDArray[np.bool_],
) -> list[str]:
    """List the reasons for which packets do not tell what is shown."""
    reasons = []
    if set(container.split(",")) & _UNTIMED_FORMATS:
        reasons.append(f"{container} keeps no presentation times")
    if bool((pts == NO_PTS).any()):
        reasons.append("packets without a pts")
    elif len(np.unique(pts)) != len(pts):
        reasons.append("several packets with one pts")
    known = dts[dts != NO_PTS]
    if bool((np.diff(known) < 0).any()):
        reasons.append("timestamps restart")
    if bool(discarded.any()):
        reasons.append("an edit list hides frames")
    if not keyframes[0]:
        reasons.append("does not begin with a keyframe")
    elif bool((pts < pts[0]).any()):
        reasons.append("frames are shown before the first keyframe")
    if stream.codec in _HIDING_CODECS:
        reasons.append(f"{stream.codec} may hide frames")
    if stream.field_order > 1:
        reasons.append("interlaced: two packets may be one frame")
    return reasons
