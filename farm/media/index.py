"""The index of a video: every packet of the main stream, by demuxing alone.

The index is a hypothesis with a class. *Trusted*: each packet shows one frame and presentation order is
pts order, so the plan needs no decoding. *Untrusted*: a serial decode lists the frames first
(`farm.media.listing`). Not for: packet bytes (`farm.media.packets`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.probe import main_video_stream, open_container, read_parameters
from farm.media.stream import StreamParameters

NO_PTS = np.iinfo(np.int64).min
_HIDING_CODECS = frozenset({"vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "libaom-av1"})
_UNTIMED_FORMATS = frozenset({"avi", "h264", "hevc", "mpegvideo", "m4v", "obu", "vvc", "h263", "vc1"})
_SHORT_S = Fraction(1, 2)


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
    """[n] flagged by the demuxer, not yet proven."""
    discarded: NDArray[np.bool_]
    """[n] decoded but not shown (edit lists)."""
    index_class: IndexClass
    reasons: tuple[str, ...]
    """Why the index is not trusted."""
    damage: tuple[str, ...]
    """What the demuxer already found broken."""
    duration_s: Fraction | None

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(slots=True)
class _Reading:
    """What one pass over the file gathers."""

    rows: list[tuple[int, int, int, int, bool, bool]]
    corrupt: int = 0
    last_end_s: Fraction = Fraction(0)
    broken: str = ""


def build_index(path: Path, video_stream: int | None = None) -> VideoIndex:
    """Read the file once, without decoding, and classify what it holds.

    Args:
        path: The video.
        video_stream: Index of the stream to render, None for the main one.

    Raises:
        MediaError: The file cannot be read or has no video packets.
    """
    with open_container(path) as container:
        index = main_video_stream(container, path, video_stream).index
    stream = read_parameters(path, index)
    with open_container(path) as container:
        video = container.streams[index]
        assert isinstance(video, VideoStream)
        with av.logging.Capture() as logs:
            reading = _read(container, video)
        if not reading.rows:
            raise MediaError(f"{path}: the video stream holds no packets; the file may be cut off")
        columns = [np.array(column) for column in zip(*reading.rows, strict=True)]
        damage = _damage(container, video, reading, [text for level, _, text in logs if level <= 16])
        name = container.format.name
        duration = container.duration
    pts, dts, durations, sizes = (c.astype(np.int64) for c in columns[:4])
    reasons = _distrust(name, stream, pts, dts, columns[5]) + (damage and ["damaged"])
    return VideoIndex(
        path=path,
        container=name,
        stream_index=index,
        stream=stream,
        pts=pts,
        dts=dts,
        durations=durations,
        sizes=sizes,
        keyframes=columns[4].astype(np.bool_),
        discarded=columns[5].astype(np.bool_),
        index_class=IndexClass.UNTRUSTED if reasons else IndexClass.TRUSTED,
        reasons=tuple(reasons),
        damage=tuple(damage),
        duration_s=Fraction(duration, av.time_base) if duration and duration > 0 else None,
    )


def video_packets(container: InputContainer, stream_index: int) -> Iterator[Packet]:
    """Yield the packets of one stream that carry data, in the order that numbers them everywhere.

    A demuxer that breaks ends the iteration by its own error.
    """
    for packet in container.demux():
        if packet.stream_index == stream_index and packet.size:
            yield packet


def _read(container: InputContainer, video: VideoStream) -> _Reading:
    """Demux the whole file, keeping the table of the video stream and the end of all streams."""
    reading = _Reading(rows=[])
    try:
        for packet in container.demux():
            if not packet.size:
                continue
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                reading.last_end_s = max(reading.last_end_s, end)
            if packet.stream_index == video.index:
                reading.corrupt += packet.is_corrupt
                reading.rows.append(_row(packet))
    except av.FFmpegError as error:
        reading.broken = str(error.strerror or error)
    return reading


def _row(packet: Packet) -> tuple[int, int, int, int, bool, bool]:
    """Return pts, dts, duration, size, keyframe and discard of a packet."""
    pts = NO_PTS if packet.pts is None else packet.pts
    dts = NO_PTS if packet.dts is None else packet.dts
    return pts, dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard


def _distrust(
    container: str,
    stream: StreamParameters,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
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
    if stream.codec in _HIDING_CODECS:
        reasons.append(f"{stream.codec} may hide frames")
    if stream.field_order > 1:
        reasons.append("interlaced: two packets may be one frame")
    return reasons


def _damage(
    container: InputContainer, video: VideoStream, reading: _Reading, errors: list[str]
) -> list[str]:
    """List what shows that the file is not whole."""
    damage = [error.strip() for error in dict.fromkeys(errors)]
    if reading.broken:
        damage.append(f"reading stopped: {reading.broken}")
    if reading.corrupt:
        damage.append(f"{reading.corrupt} packets flagged corrupt")
    count = len(reading.rows)
    if video.frames > count:
        damage.append(f"the header promises {video.frames} frames, {count} are there")
    promised = _promised_end_s(container, video)
    if promised is not None and promised - reading.last_end_s > _SHORT_S:
        end, whole = float(reading.last_end_s), float(promised)
        damage.append(f"the file ends at {end:.2f} s, its header promises {whole:.2f} s")
    return damage


def _promised_end_s(container: InputContainer, video: VideoStream) -> Fraction | None:
    """Return the end that the header states, for formats whose header states one."""
    names = set(container.format.name.split(","))
    if "mov" in names and video.duration and video.time_base:
        return Fraction(video.duration * video.time_base)
    if "matroska" in names and container.duration and container.duration > 0:
        return Fraction(container.duration, av.time_base)
    return None
