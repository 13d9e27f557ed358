"""What each output container can hold, and which streams of a source go into it.

Not for: muxing (`farm.media.final_task`). What is left out is said, never dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream

from farm.errors import SettingsError
from farm.media.demux import demuxed
from farm.media.ffmpeg import can_mux
from farm.media.probe import FORMATS, open_container

_ATTACHED_PICTURE = 0x400
_TEXT_SUBTITLES = frozenset({"subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"})
_CHAPTER_TRACK_CODECS = frozenset({"bin_data", "text"})
_AV_AUDIO = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "opus", "flac", "alac"})
_PCM_MOV = frozenset(
    {f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "u8", "s8")}
    | {"pcm_alaw", "pcm_mulaw", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"}
)
_MPEG_VIDEO = frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"})
_LOSSLESS_AUDIO = frozenset(
    {"flac", "alac", "truehd", "mlp", "wavpack", "ape", "tta", "tak", "wmalossless", "shorten"}
)
_CHANNEL_BITRATE = {"aac": 128_000, "libopus": 96_000}
"""Bits a second for one channel: more than ears can tell from the source."""
_OPUS_LAYOUTS = "aformat=channel_layouts=mono|stereo|3.0|quad|5.0|5.1|6.1|7.1"
_PICTURES = frozenset({"mjpeg", "png", "bmp"})


class StreamKind(StrEnum):
    """What a stream of the source is."""

    VIDEO = "video"
    COVER = "cover"
    AUDIO = "audio"
    SUBTITLE = "subtitle"
    ATTACHMENT = "attachment"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRules:
    """What an output container takes."""

    muxer: str
    """Name of ffmpeg's muxer."""
    title: str
    encoded: frozenset[str]
    """Codecs of the rendered stream."""
    video: frozenset[str]
    """Codecs of further video tracks; empty set: none."""
    audio: frozenset[str] | None
    """None: every codec."""
    subtitles: frozenset[str]
    """Codecs that are copied."""
    text_subtitles: str | None
    """Codec that other text subtitles are turned into."""
    covers: bool
    attachments: bool
    chapters: bool
    lossless_audio: str
    """Encoder of sound that does not fit and was lossless."""
    lossy_audio: str
    """Encoder of sound that does not fit and was not."""
    data: bool
    """Whether some data tracks can be kept; which, only a trial tells."""
    display_matrix: bool
    exact_times: bool
    """Whether timestamps are kept in the source's ticks; else they are rounded to 1 ms."""

    @property
    def is_mov(self) -> bool:
        """Whether this is MP4 or QuickTime."""
        return self.muxer in ("mp4", "mov")


_MP4 = ContainerRules(
    muxer="mp4",
    title="MP4",
    encoded=frozenset({"h264", "hevc", "av1", "vp9"}),
    video=frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video"}),
    audio=_AV_AUDIO | {"vorbis"},
    subtitles=frozenset({"mov_text"}),
    text_subtitles="mov_text",
    covers=True,
    attachments=False,
    chapters=True,
    lossless_audio="flac",
    lossy_audio="aac",
    data=True,
    display_matrix=True,
    exact_times=True,
)
_MOV = ContainerRules(
    muxer="mov",
    title="QuickTime",
    encoded=frozenset({"h264", "hevc"}),
    video=_MPEG_VIDEO | {"prores", "mjpeg", "png", "qtrle", "dnxhd"},
    audio=frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac"}) | _PCM_MOV,
    subtitles=frozenset({"mov_text"}),
    text_subtitles="mov_text",
    covers=False,
    attachments=False,
    chapters=True,
    lossless_audio="alac",
    lossy_audio="aac",
    data=True,
    display_matrix=True,
    exact_times=True,
)
_MATROSKA = ContainerRules(
    muxer="matroska",
    title="Matroska",
    encoded=frozenset({"h264", "hevc", "av1", "vp9", "ffv1"}),
    video=_MPEG_VIDEO | {"av1", "vp9", "vp8", "ffv1", "prores", "mjpeg", "png", "theora"},
    audio=None,
    subtitles=frozenset(
        {"subrip", "srt", "ass", "ssa", "webvtt", "dvb_subtitle", "dvd_subtitle"}
        | {"hdmv_pgs_subtitle"}
    ),
    text_subtitles="subrip",
    covers=True,
    attachments=True,
    chapters=True,
    lossless_audio="flac",
    lossy_audio="aac",
    data=False,
    display_matrix=True,
    exact_times=False,
)
_WEBM = ContainerRules(
    muxer="webm",
    title="WebM",
    encoded=frozenset({"vp9", "av1"}),
    video=frozenset({"vp8", "vp9", "av1"}),
    audio=frozenset({"opus", "vorbis"}),
    subtitles=frozenset({"webvtt"}),
    text_subtitles="webvtt",
    covers=False,
    attachments=False,
    chapters=True,
    lossless_audio="libopus",
    lossy_audio="libopus",
    data=False,
    display_matrix=True,
    exact_times=False,
)
_TS = ContainerRules(
    muxer="mpegts",
    title="MPEG-TS",
    encoded=frozenset({"h264", "hevc"}),
    video=_MPEG_VIDEO,
    audio=frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "opus", "truehd"}),
    subtitles=frozenset({"dvb_subtitle", "dvb_teletext"}),
    text_subtitles=None,
    covers=False,
    attachments=False,
    chapters=False,
    lossless_audio="aac",
    lossy_audio="aac",
    data=True,
    display_matrix=False,
    exact_times=True,
)
_BY_SUFFIX = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".mkv": _MATROSKA,
    ".webm": _WEBM,
    ".ts": _TS,
    ".mts": _TS,
    ".m2ts": _TS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStream:
    """A stream of the source that goes into the output beside the rendered one."""

    source_index: int
    kind: StreamKind
    codec: str
    """`copy`, what it is turned into, or `attach` for a picture in a file."""
    options: tuple[tuple[str, str], ...] = ()
    """Of its encoder, without the number of the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What happens to the streams of the source."""

    kept: tuple[KeptStream, ...]
    notes: tuple[str, ...]
    """What is left out or turned into something else, and why."""
    keep_chapters: bool


def rules_of(output: Path) -> ContainerRules:
    """The container that an output's name asks for.

    Raises:
        SettingsError: no container goes by that suffix.
    """
    rules = _BY_SUFFIX.get(output.suffix.lower())
    if rules is None:
        raise SettingsError(
            f"--output {output.name}: cannot write {output.suffix or 'a name without suffix'}; "
            f"name it with one of {' '.join(_BY_SUFFIX)}"
        )
    return rules


def check_codec(output: Path, codec: str) -> ContainerRules:
    """The container of an output, having checked that it holds the rendered stream.

    Raises:
        SettingsError: unknown suffix, or a container that does not take the codec.
    """
    rules = rules_of(output)
    if codec not in rules.encoded:
        fitting = [suffix for suffix, each in _BY_SUFFIX.items() if codec in each.encoded]
        raise SettingsError(
            f"--output {output.name}: {rules.title} does not hold {codec}; name the output "
            f"with {' or '.join(fitting)}, or choose another --video-encoder "
            f"({rules.title} takes {', '.join(sorted(rules.encoded))})"
        )
    return rules


def plan_streams(
    source: InputContainer,
    main_index: int,
    rules: ContainerRules,
    *,
    keep_audio: bool,
    private: bool,
    keep_data: bool = True,
) -> StreamPlan:
    """Decide for every stream beside the rendered one whether and how it is kept.

    Args:
        source: The open source.
        main_index: Index of the rendered stream.
        rules: Of the output's container.
        keep_audio: False leaves all audio out.
        private: Whether everything that may show a face is left out.
        keep_data: False leaves data tracks out, which may hold places.
    """
    kept, notes = [], []
    has_chapters = bool(source.chapters())
    for stream in source.streams:
        if stream.index == main_index:
            continue
        kind, name = _kind(stream), _codec_name(stream)
        if kind is StreamKind.DATA and has_chapters and name in _CHAPTER_TRACK_CODECS:
            continue
        if kind is StreamKind.AUDIO and not keep_audio:
            continue
        if kind is StreamKind.DATA and not keep_data:
            notes.append(f"data stream {stream.index} is left out, as asked for")
            continue
        codec, why = _how(kind, name, rules, private)
        label = f"{kind} stream {stream.index} ({name})"
        if codec:
            options = audio_options(stream, codec) if kind is StreamKind.AUDIO else ()
            kept.append(
                KeptStream(source_index=stream.index, kind=kind, codec=codec, options=options)
            )
        if why:
            notes.append(f"{label} {why}")
    if has_chapters and not rules.chapters:
        notes.append(f"chapters are left out: {rules.title} has none")
    return StreamPlan(
        kept=tuple(kept), notes=tuple(notes), keep_chapters=has_chapters and rules.chapters
    )


def audio_options(stream: Stream, codec: str) -> tuple[tuple[str, str], ...]:
    """Options of the encoder that an audio stream is turned into by; none for a copy."""
    bits = _CHANNEL_BITRATE.get(codec)
    if bits is None or not isinstance(stream, AudioStream):
        return ()
    options = [("b", str(bits * max(1, min(8, stream.channels or 2))))]
    if codec == "libopus":
        options.append(("filter", _OPUS_LAYOUTS))
    return tuple(options)


def without_unheld_data(
    plan: StreamPlan, source: Path, rules: ContainerRules, binary: Path
) -> StreamPlan:
    """Leave out data tracks that the muxer refuses, which it says only when it is tried."""
    kept, notes = [], list(plan.notes)
    for each in plan.kept:
        if each.kind is not StreamKind.DATA or can_mux(
            binary, source, each.source_index, rules.muxer, FORMATS
        ):
            kept.append(each)
        else:
            notes.append(
                f"data stream {each.source_index} is left out: {rules.title} cannot hold it"
            )
    return replace(plan, kept=tuple(kept), notes=tuple(notes))


def without_empty_audio(plan: StreamPlan, source: Path) -> StreamPlan:
    """Leave out audio streams that hold nothing (files that were cut off): muxers drop them."""
    kept, notes = [], list(plan.notes)
    for each in plan.kept:
        if each.kind is StreamKind.AUDIO and not _holds_packets(source, each.source_index):
            notes.append(f"audio stream {each.source_index} is left out: it holds nothing")
        else:
            kept.append(each)
    return replace(plan, kept=tuple(kept), notes=tuple(notes))


def _holds_packets(source: Path, index: int) -> bool:
    """Whether a stream has a packet; a file that breaks before the first has none."""
    with open_container(source) as container:
        try:
            return any(packet.size for packet in demuxed(container, container.streams[index]))
        except av.FFmpegError:
            return False


def _how(
    kind: StreamKind, name: str, rules: ContainerRules, private: bool
) -> tuple[str | None, str]:
    """Codec that a stream is kept with, None to leave it out; and what to say of it."""
    if private and kind in (StreamKind.VIDEO, StreamKind.COVER, StreamKind.ATTACHMENT):
        return None, "is left out: it may show faces"
    if private and kind is StreamKind.DATA:
        return None, "is left out: what it holds is not known"
    fits = {
        StreamKind.VIDEO: name in rules.video,
        StreamKind.COVER: rules.covers and name in _PICTURES,
        StreamKind.AUDIO: rules.audio is None or name in rules.audio,
        StreamKind.SUBTITLE: name in rules.subtitles,
        StreamKind.ATTACHMENT: rules.attachments,
        StreamKind.DATA: rules.data,
    }[kind]
    if fits:
        as_file = kind is StreamKind.COVER and rules.attachments
        return ("attach" if as_file else "copy"), ""
    if kind is StreamKind.SUBTITLE and name in _TEXT_SUBTITLES and rules.text_subtitles:
        return rules.text_subtitles, f"becomes {rules.text_subtitles}"
    if kind is StreamKind.AUDIO:
        lossless = name in _LOSSLESS_AUDIO or name.startswith("pcm_")
        encoder = rules.lossless_audio if lossless else rules.lossy_audio
        held = "" if rules is _MATROSKA else "; .mkv holds it as it is"
        return encoder, f"becomes {encoder.removeprefix('lib')}: {rules.title} cannot hold it{held}"
    hint = "; .mkv holds it" if kind is not StreamKind.DATA and rules is not _MATROSKA else ""
    return None, f"is left out: {rules.title} cannot hold it{hint}"


def _kind(stream: Stream) -> StreamKind:
    if stream.type == "video":
        cover = bool(stream.disposition & _ATTACHED_PICTURE)
        return StreamKind.COVER if cover else StreamKind.VIDEO
    try:
        return StreamKind(stream.type)
    except ValueError:
        return StreamKind.DATA


def _codec_name(stream: Stream) -> str:
    """Name of the codec itself, whichever decoder is used for it."""
    context = stream.codec_context
    if context is None:
        return str(getattr(stream, "name", None) or "unknown")
    return str(context.codec.canonical_name)
