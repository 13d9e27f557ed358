"""A stretch of a source's sound, subtitles and chapters, as files of their own.

The final task takes streams from these files instead of the source where the video is trimmed.
Sound is cut at packets, each of which keeps its place against the picture, and to the sample where
it is encoded again; subtitles and chapters that reach over a border end there. Not for: the picture
(`farm.media.retime`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from farm.media.clock import ClockFollower, ClockSegment
from farm.media.containers import KeptStream, StreamKind, StreamPlan
from farm.media.demux import demuxed
from farm.media.probe import open_container
from farm.media.timing import TimeRange

_MP4_AUDIO = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"})
_MARGIN_S = Fraction(1, 5)
_AHEAD_S = 1
_EMPTY_TEXT_BYTES = 2
"""Size of a packet by which MP4 says that no subtitle is shown."""
_SPECIAL = "\\=;#\n"
"""Characters of ffmpeg's metadata files that a backslash must precede."""
_TICKS = 1_000_000
"""Per second, of chapters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutStream:
    """A stretch of one stream."""

    kept: KeptStream
    path: Path
    disposition: str
    """In ffmpeg's words, `0` for none."""
    first_s: Fraction
    """When its first packet begins, on the output's clock."""
    end_s: Fraction
    """When its last one ends."""
    ahead_s: int = 0
    """How much later than on the output's clock the file has it, so that nothing is below zero."""
    samples: str = ""
    """The filter that cuts it to the sample, where it is encoded again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCut:
    """What a trim leaves of the source beside its picture."""

    plan: StreamPlan
    """The streams that are left."""
    streams: tuple[CutStream, ...]
    """Those of them that have a time."""
    chapters: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files; whoever asked for them deletes them."""
        chapters = () if self.chapters is None else (self.chapters,)
        return (*(each.path for each in self.streams), *chapters)

    def of(self, kept: KeptStream) -> CutStream | None:
        """The stretch of a stream, None for one that has no time (a cover, an attachment)."""
        return next((each for each in self.streams if each.kept == kept), None)


def cut_source(
    source: Path,
    plan: StreamPlan,
    cut: TimeRange,
    shift: Fraction,
    folder: Path,
    clock: tuple[ClockSegment, ...] = (),
) -> SourceCut:
    """Write the stretches of all kept streams that have a time.

    Args:
        source: The file.
        plan: Its streams that are kept.
        cut: The stretch, on the source's clock, which goes on where that of the file jumps.
        shift: Seconds from the source's clock to the output's.
        folder: Where to write.
        clock: How the clock of the file jumps.
    """
    kept: list[KeptStream] = []
    streams: list[CutStream] = []
    notes = list(plan.notes)
    for each in plan.kept:
        if each.kind in (StreamKind.AUDIO, StreamKind.SUBTITLE):
            found = _cut_stream(source, each, cut, shift, folder, clock)
            if found is None:
                notes.append(f"{_label(each)} is left out: it holds nothing in the stretch")
                continue
            streams.append(found)
        elif each.kind in (StreamKind.VIDEO, StreamKind.DATA):
            notes.append(f"{_label(each)} is left out: it is not trimmed with the picture")
            continue
        kept.append(each)
    notes += _audio_notes(streams, cut, shift)
    chapters = _cut_chapters(source, cut, shift, folder) if plan.keep_chapters else None
    return SourceCut(
        plan=StreamPlan(kept=tuple(kept), notes=tuple(notes), keep_chapters=chapters is not None),
        streams=tuple(streams),
        chapters=chapters,
    )


def placed_packets(
    packets: Iterable[Any], clock: tuple[ClockSegment, ...]
) -> Iterator[tuple[Any, Fraction]]:
    """Yield the packets of one stream, and when each begins on a clock that goes on.

    Those without data or time are left out, and those where two recordings overlap.

    Args:
        packets: In the order of the file.
        clock: How the clock of the file jumps.
    """
    follower = ClockFollower(clock)
    for packet in packets:
        if packet.size and packet.pts is not None:
            tick = Fraction(packet.time_base)
            begin_s = follower.place(packet.pts * tick, (packet.duration or 0) * tick)
            if begin_s is not None:
                yield packet, begin_s


def in_cut(cut: TimeRange | None, begin: Fraction) -> bool:
    """Whether a packet of sound that begins then is kept."""
    if cut is None:
        return True
    return (cut.start is None or begin >= cut.start) and (cut.stop is None or begin < cut.stop)


def _cut_stream(
    source: Path,
    kept: KeptStream,
    cut: TimeRange,
    shift: Fraction,
    folder: Path,
    clock: tuple[ClockSegment, ...],
) -> CutStream | None:
    """Write the stretch of one stream; None where it holds nothing."""
    with open_container(source) as container:
        stream: Any = container.streams[kept.source_index]
        name = str(stream.codec_context.name)
        muxer = _muxer(kept.kind, name, container)
        path = folder / f"cut-{uuid.uuid4().hex[:12]}.{muxer}"
        names = [each.name for each in Disposition if each & stream.disposition]
        again = kept.kind is StreamKind.AUDIO and kept.codec != "copy"
        ahead_s = _AHEAD_S if again else 0
        packets = _audio_packets if kept.kind is StreamKind.AUDIO else _text_packets
        carried = _with_margin(cut) if again else cut
        placed = placed_packets(demuxed(container, stream), clock)
        span = _write(path, muxer, stream, packets(placed, carried), shift + ahead_s)
    if span is None:
        path.unlink(missing_ok=True)
        return None
    return CutStream(
        kept=kept,
        path=path,
        disposition="+".join(str(each) for each in names) or "0",
        first_s=span[0] - ahead_s,
        end_s=span[1] - ahead_s,
        ahead_s=ahead_s,
        samples=_sample_filter(cut, shift) if again else "",
    )


def _with_margin(cut: TimeRange) -> TimeRange:
    """The stretch with what decoders of sound need to begin well."""
    return TimeRange(start=None if cut.start is None else cut.start - _MARGIN_S, stop=cut.stop)


def _sample_filter(cut: TimeRange, shift: Fraction) -> str:
    """A filter of ffmpeg that keeps the samples of the stretch, on the output's clock."""
    ends = {"start": cut.start, "end": cut.stop}
    parts = [f"{k}={float(at + shift):.9f}" for k, at in ends.items() if at is not None]
    return f"atrim={':'.join(parts)}" if parts else ""


def _muxer(kind: StreamKind, codec: str, source: InputContainer) -> str:
    """A container that holds a codec, with the source's exact times where one can."""
    if kind is StreamKind.SUBTITLE:
        return "mp4" if codec == "mov_text" else "matroska"
    if codec.startswith("pcm_") and "mov" in source.format.name:
        return "mov"
    return "mp4" if codec in _MP4_AUDIO else "matroska"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A packet and its place on the source's clock."""

    packet: Any
    begin_s: Fraction
    duration_s: Fraction


def _write(
    path: Path, muxer: str, stream: Any, pieces: Iterator[_Piece], shift: Fraction
) -> tuple[Fraction, Fraction] | None:
    """Write packets of a stream, moved by `shift`; returns when they begin and end, in seconds."""
    tick = Fraction(stream.time_base)
    exact = {"strict": "experimental"}
    if muxer != "matroska":
        exact["movie_timescale"] = str(max(tick.denominator, 10_000))
    first = end = None
    with av.open(f"file:{path}", "w", format=muxer, container_options=exact) as output:
        target: Any = output.add_stream_from_template(stream, opaque=True)
        for piece in pieces:
            packet, begin = piece.packet, piece.begin_s + shift
            packet.stream, packet.time_base = target, tick
            # No kept stream has its packets in another order than that of their times.
            packet.pts = packet.dts = round(begin / tick)
            packet.duration = round((begin + piece.duration_s) / tick) - packet.pts
            first = begin if first is None else first
            end = begin + piece.duration_s
            output.mux_one(packet)
    return None if first is None or end is None else (first, end)


def _audio_packets(placed: Iterator[tuple[Any, Fraction]], cut: TimeRange) -> Iterator[_Piece]:
    """Yield the packets that begin within the stretch."""
    for packet, begin in placed:
        if in_cut(cut, begin):
            yield _Piece(packet, begin, (packet.duration or 0) * Fraction(packet.time_base))


def _text_packets(placed: Iterator[tuple[Any, Fraction]], cut: TimeRange) -> Iterator[_Piece]:
    """Yield the subtitles that are shown within the stretch, cut at its borders."""
    for packet, begin in placed:
        if packet.size <= _EMPTY_TEXT_BYTES:
            continue
        end = begin + (packet.duration or 0) * Fraction(packet.time_base)
        shown = begin if cut.start is None else max(begin, cut.start)
        hidden = end if cut.stop is None else min(end, cut.stop)
        if hidden > shown or (end == begin and in_cut(cut, begin)):
            yield _Piece(packet, shown, hidden - shown)


def _cut_chapters(source: Path, cut: TimeRange, shift: Fraction, folder: Path) -> Path | None:
    """Write the chapters of the stretch as ffmpeg reads them; None where there are none."""
    with open_container(source) as container:
        found = [_chapter(each, cut, shift) for each in container.chapters()]
    texts = [each for each in found if each]
    if not texts:
        return None
    path = folder / f"chapters-{uuid.uuid4().hex[:12]}.txt"
    path.write_text("\n".join([";FFMETADATA1", *texts, ""]), encoding="utf-8")
    return path


def _chapter(chapter: Mapping[str, Any], cut: TimeRange, shift: Fraction) -> str:
    """One chapter within the stretch, empty where it lies outside."""
    tick = Fraction(chapter["time_base"])
    begin, end = chapter["start"] * tick, chapter["end"] * tick
    begin = begin if cut.start is None else max(begin, cut.start)
    end = end if cut.stop is None else min(end, cut.stop)
    if end <= begin:
        return ""
    times = [round((at + shift) * _TICKS) for at in (begin, end)]
    lines = ["[CHAPTER]", f"TIMEBASE=1/{_TICKS}", f"START={times[0]}", f"END={times[1]}"]
    lines += [f"{_escaped(k)}={_escaped(v)}" for k, v in chapter["metadata"].items()]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in text)


def _audio_notes(streams: list[CutStream], cut: TimeRange, shift: Fraction) -> Iterator[str]:
    """Say how far the sound begins and ends from the picture."""
    for each in streams:
        if each.kept.kind is not StreamKind.AUDIO:
            continue
        parts = []
        if cut.start is not None:
            parts.append(f"begins {_ms(each.first_s - shift - cut.start)} the picture")
        if cut.stop is not None:
            parts.append(f"ends {_ms(each.end_s - shift - cut.stop)} its end")
        how = "at packets: it " + " and ".join(parts) if not each.samples else "to the sample"
        if parts:
            yield f"{_label(each.kept)} is cut {how}"


def _ms(off: Fraction) -> str:
    return f"{abs(float(off)) * 1000:.1f} ms {'after' if off >= 0 else 'before'}"


def _label(kept: KeptStream) -> str:
    return f"{kept.kind} stream {kept.source_index}"
