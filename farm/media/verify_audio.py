"""Checking that audio came through untouched and stayed where it was against the picture.

Not for: subtitles and attachments, which are only counted (`farm.media.verify`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from farm.errors import VerifyError
from farm.media.clock import ClockFollower, ClockSegment
from farm.media.containers import KeptStream, StreamKind
from farm.media.demux import demuxed
from farm.media.probe import open_container
from farm.media.stream_cut import in_cut
from farm.media.timing import TimeRange

_SYNC = Fraction(1, 1000)
"""Seconds that audio may move against the picture; Matroska's rounding of both fits in."""
_MOST_SILENCE = Fraction(6, 100)
"""Seconds of silence that an audio encoder may begin with."""
_ADTS_SYNC = 0xFFF0
_ADTS_HEADER, _ADTS_HEADER_CRC = 7, 9


@dataclass(slots=True)
class _Track:
    """What one reading gathers of an audio stream."""

    packets: int = 0
    digest: Any = None
    first: Fraction | None = None
    last: Fraction | None = None


def check_audio(
    output: Path,
    source: Path,
    kept: tuple[KeptStream, ...],
    output_first: Fraction,
    source_first: Fraction,
    cut: TimeRange | None = None,
    clock: tuple[ClockSegment, ...] = (),
) -> None:
    """Compare packets and place of every kept audio stream; of one that was encoded, its place.

    Args:
        output: The finished file.
        source: Where the audio came from.
        kept: The streams that were kept, in order.
        output_first: When the output's first frame is shown, in seconds of its clock.
        source_first: The same of the source.
        cut: The stretch of the source that is kept, None for the whole.
        clock: How the clock of the source jumps.

    Raises:
        VerifyError: packets are missing, changed, or moved by more than 1 ms.
    """
    sound = [each for each in kept if each.kind is StreamKind.AUDIO]
    if not sound:
        return
    with open_container(output) as container:
        places = [stream.index for stream in container.streams.audio]
    for each, place in zip(sound, places, strict=True):
        if each.codec != "copy":
            begin = _first_sample(source, each.source_index)
            begin = begin if cut is None or cut.start is None else max(begin, cut.start)
            moved = (_first_sample(output, place) - output_first) - (begin - source_first)
            # Encoders put a little silence in front, which not every container takes away.
            _check_moved(each.source_index, moved, "sample", early=_MOST_SILENCE)
    copied = [
        (each.source_index, place)
        for each, place in zip(sound, places, strict=True)
        if each.codec == "copy"
    ]
    if copied:
        before = _read(source, [index for index, _ in copied], cut, clock)
        after = _read(output, [place for _, place in copied])
        _check_copied(before, after, [index for index, _ in copied], output_first, source_first)


def _check_copied(
    before: list[_Track],
    after: list[_Track],
    indices: list[int],
    output_first: Fraction,
    source_first: Fraction,
) -> None:
    """Compare every packet of the streams that were copied."""
    for index, one, two in zip(indices, before, after, strict=True):
        if one.packets != two.packets:
            raise VerifyError(
                f"audio stream {index}: {two.packets} of {one.packets} packets are in the output"
            )
        if one.digest.digest() != two.digest.digest():
            raise VerifyError(f"audio stream {index}: its packets are not those of the source")
        for name in ("first", "last"):
            here, there = getattr(two, name), getattr(one, name)
            if here is None or there is None:
                continue
            moved = (here - output_first) - (there - source_first)
            _check_moved(index, moved, f"{name} packet")


def _check_moved(index: int, moved: Fraction, place: str, early: Fraction = _SYNC) -> None:
    """Refuse sound that moved against the picture, by 1 ms or, to the front, by `early`."""
    if not -early <= moved <= _SYNC:
        raise VerifyError(
            f"audio stream {index} moved by {float(moved) * 1000:+.2f} ms "
            f"against the picture (at its {place})"
        )


def _first_sample(path: Path, index: int) -> Fraction:
    """When the first sample of an audio stream is heard, in seconds.

    Raises:
        VerifyError: none decodes.
    """
    with open_container(path) as container:
        try:
            frame: Any
            for frame in container.decode(container.streams[index]):
                if frame.pts is not None:
                    return int(frame.pts) * Fraction(frame.time_base)
        except av.FFmpegError as error:
            raise VerifyError(f"{path.name}: audio stream {index} does not decode") from error
    raise VerifyError(f"{path.name}: audio stream {index} has no sound that decodes")


def _read(
    path: Path,
    indices: list[int],
    cut: TimeRange | None = None,
    clock: tuple[ClockSegment, ...] = (),
) -> list[_Track]:
    """Read the packets of some streams, those of a stretch where there is one."""
    tracks = {index: _Track(digest=hashlib.sha256()) for index in indices}
    followers = {index: ClockFollower(clock) for index in indices}
    with open_container(path) as container:
        for packet in demuxed(container, *(container.streams[index] for index in indices)):
            if not packet.size:
                continue
            begin = _begin(packet, followers[packet.stream_index])
            if (cut or clock) and (begin is None or not in_cut(cut, begin)):
                continue
            track = tracks[packet.stream_index]
            track.packets += 1
            track.digest.update(without_adts(bytes(packet)))
            if begin is not None:
                track.last = begin
                track.first = track.last if track.first is None else track.first
    return [tracks[index] for index in indices]


def _begin(packet: Any, follower: ClockFollower) -> Fraction | None:
    """When a packet begins on a clock that goes on; None for one without time, or left out."""
    if packet.pts is None:
        return None
    tick = Fraction(packet.time_base)
    return follower.place(packet.pts * tick, (packet.duration or 0) * tick)


def without_adts(data: bytes) -> bytes:
    """AAC without the header that only transport streams put before each packet."""
    if len(data) < _ADTS_HEADER or int.from_bytes(data[:2], "big") & 0xFFF6 != _ADTS_SYNC:
        return data
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if size != len(data):
        return data
    return data[_ADTS_HEADER if data[1] & 1 else _ADTS_HEADER_CRC :]
