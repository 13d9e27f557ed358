"""The final ffmpeg task: the joined video and everything else of the source become the output.

Nothing is encoded here but text subtitles that a container wants in another form. Not for: making
the joined video (`farm.media.join`) or believing the result (`farm.media.verify`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg
from av.container import InputContainer

from farm.marks.mark import Mark
from farm.media.containers import ContainerRules, KeptStream, StreamKind, StreamPlan
from farm.media.encoders import EncoderChoice
from farm.media.ffmpeg import ffmpeg_version, file_url, run_ffmpeg
from farm.media.probe import open_container
from farm.media.stream import StreamParameters
from farm.media.stream_cut import CutStream, SourceCut
from farm.media.tags import private_tags
from farm.media.timing import TimeRange

_UNTRUE_TAGS = ("encoder", "rotate", "vendor_id", "bps", "duration", "number_of_frames")
_UNTRUE_PREFIXES = ("bps-", "duration-", "number_of_", "_statistics_")
_CONTAINER_TAGS = ("major_brand", "minor_version", "compatible_brands")
_PLAIN_MP4_TAGS = frozenset(
    {"title", "artist", "album_artist", "album", "composer", "date", "encoder", "comment", "genre"}
    | {"copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"}
    | {"network", "keywords", "media_type", "hd_video", "creation_time", "track", "disc"}
    | {"episode_sort", "season_number", "year", "location", "timecode", *_CONTAINER_TAGS}
)

_CROPS_SINCE = (7, 1)
_OPUS_IN_TIME = (6, 0)
"""The first ffmpeg whose Matroska muxer makes up for what libopus puts in front."""
_OPUS_LATER = "asetpts=PTS+13/2000/TB"
_MOV_LANGUAGES = {
    "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi", "fas": "per",
    "ron": "rum", "slk": "slo", "sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur",
    "kat": "geo", "mkd": "mac", "msa": "may", "bod": "tib", "cym": "wel",
}  # fmt: skip
"""QuickTime numbers its languages, some by their other code of ISO 639-2."""
_PICTURE_SUFFIXES = {"mjpeg": ".jpg", "png": ".png", "bmp": ".bmp"}
_MILLISECOND = Fraction(1, 1000)
_NO_STREAM = "v:9999?"
"""Maps nothing, but keeps the source among the inputs, for its tags and chapters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What the final task takes from the source beside its packets."""

    format_names: str
    """The demuxer's names, comma-separated."""
    tags: dict[str, str]
    video_tags: dict[str, str]
    stream_tags: tuple[dict[str, str], ...]
    """Of every stream of the file."""
    video_disposition: str
    """In ffmpeg's words (`default+forced`), `0` for none."""
    start: Fraction
    """Seconds at which its earliest stream begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalTask:
    """Everything that the ffmpeg command depends on."""

    binary: Path
    joined: Path
    source: Path
    video_index: int
    target: Path
    """A temporary name beside the output."""
    rules: ContainerRules
    streams: StreamPlan
    facts: SourceFacts
    choice: EncoderChoice
    stream: StreamParameters
    timescale: int
    shift: Fraction
    """Seconds that the joined video was moved by; the source's other streams go along."""
    in_band: bool
    """Whether parameter sets change in mid-stream, because some packets are the source's."""
    strip_metadata: bool
    """Whether tags that tell place and device are left out."""
    altered_by: tuple[str, ...]
    mark_tags: dict[str, str]
    """Tags of the container that repeat the mark."""
    last_packet: int
    """Number, in decode order, of the packet that shows the last frame."""
    last_duration: Fraction
    """Seconds that the last frame stays."""
    cut: SourceCut | None = None
    """What a trim leaves of the source; None where nothing is trimmed."""


def source_facts(container: InputContainer, video_index: int) -> SourceFacts:
    """Read the facts from an open source."""
    video = container.streams[video_index]
    start = container.start_time
    names = [each.name for each in av.stream.Disposition if each & video.disposition]
    return SourceFacts(
        format_names=container.format.name,
        tags=dict(container.metadata),
        video_tags=dict(video.metadata),
        stream_tags=tuple(dict(stream.metadata) for stream in container.streams),
        video_disposition="+".join(str(each) for each in names) or "0",
        start=Fraction(0) if start is None else Fraction(start, av.time_base),
    )


def run_final_task(task: FinalTask) -> None:
    """Write the output under its temporary name.

    Raises:
        JobError: ffmpeg failed.
        SetupError: it could not be started.
    """
    covers = _written_covers(task)
    joined = ffmpeg.input(file_url(task.joined), protocol_whitelist="file", f="mp4")
    source = ffmpeg.input(
        file_url(task.source),
        protocol_whitelist="file",
        format_whitelist=task.facts.format_names,
        itsoffset=f"{float(task.shift):.6f}",
    )
    maps = [joined["v:0"], source[_NO_STREAM], *_mapped_inputs(task, source)]
    if task.cut is not None and task.cut.chapters is not None:
        chapters = file_url(task.cut.chapters)
        maps.append(ffmpeg.input(chapters, protocol_whitelist="file", f="ffmetadata")[_NO_STREAM])
    node = ffmpeg.output(*maps, file_url(task.target), **_options(task))
    try:
        run_ffmpeg(node, task.binary, (*_tag_options(task), *_cover_options(covers, task)))
    finally:
        for cover in covers:
            cover.unlink(missing_ok=True)


def mapped(streams: StreamPlan) -> tuple[KeptStream, ...]:
    """The kept streams that ffmpeg maps, in the order of the output."""
    return tuple(each for each in streams.kept if each.codec != "attach")


def _mapped_inputs(task: FinalTask, source: Any) -> Iterator[Any]:
    """The kept streams as ffmpeg-python names them, those that are cut each from its own file."""
    for each in mapped(task.streams):
        cut = None if task.cut is None else task.cut.of(each)
        if cut is None:
            yield source[str(each.source_index)]
        else:
            options = {"itsoffset": f"-{cut.ahead_s}"} if cut.ahead_s else {}
            yield ffmpeg.input(file_url(cut.path), protocol_whitelist="file", **options)["0"]


def _written_covers(task: FinalTask) -> tuple[Path, ...]:
    """Covers as files: Matroska holds them as attachments, which ffmpeg only takes from files."""
    written: list[Path] = []
    for kept in task.streams.kept:
        if kept.codec != "attach":
            continue
        with open_container(task.source) as container:
            stream = container.streams[kept.source_index]
            suffix = _PICTURE_SUFFIXES[str(stream.codec_context.name)]
            data = next((bytes(p) for p in container.demux(stream) if p.size), b"")
        path = task.joined.with_name(f"{task.joined.stem}-cover{len(written)}{suffix}")
        path.write_bytes(data)
        written.append(path)
    return tuple(written)


def _cover_options(covers: tuple[Path, ...], task: FinalTask) -> Iterable[str]:
    """Attach covers behind the attachments that are mapped."""
    before = sum(each.kind is StreamKind.ATTACHMENT for each in task.streams.kept)
    for number, cover in enumerate(covers, start=before):
        kind = "jpeg" if cover.suffix == ".jpg" else cover.suffix[1:]
        yield from ("-attach", file_url(cover))
        yield from (f"-metadata:s:t:{number}", f"mimetype=image/{kind}")
        yield from (f"-metadata:s:t:{number}", f"filename=cover{cover.suffix}")


def _options(task: FinalTask) -> dict[str, str | None]:
    """Options of the output that occur once."""
    rules = task.rules
    options: dict[str, str | None] = {
        "format": rules.muxer,
        "c": "copy",
        "copy_unknown": None,
        "copyts": None,
        "strict": "experimental",
        "fflags": "+bitexact",
        "map_metadata": "1",
        "map_metadata:s:0": f"1:s:{task.video_index}",
        "map_chapters": _chapters_input(task),
        "disposition:v:0": task.facts.video_disposition,
        "max_interleave_delta": "0",
        "bsf:v:0": _last_duration(task),
    }
    for place, kept in enumerate(mapped(task.streams), start=1):
        options[f"map_metadata:s:{place}"] = f"1:s:{kept.source_index}"
        if kept.codec != "copy":
            options[f"c:{place}"] = kept.codec
        cut = None if task.cut is None else task.cut.of(kept)
        options |= {f"{name}:{place}": value for name, value in kept.options}
        if filters := tuple(_filters(task, kept, cut)):
            options[f"filter:{place}"] = ",".join(filters)
        if cut is not None:
            options[f"disposition:{place}"] = cut.disposition
    if rules.is_mov:
        flags = "+faststart+use_metadata_tags" if _has_own_tags(task) else "+faststart"
        options["movflags"] = flags
        options["video_track_timescale"] = str(task.timescale)
        options["movie_timescale"] = str(task.timescale)
        if task.in_band:
            # Players are told that parameter sets change on the way.
            options["tag:v:0"] = "hev1" if task.choice.codec == "hevc" else "avc3"
        elif task.choice.codec == "hevc":
            options["tag:v:0"] = "hvc1"
    if rules.muxer == "mpegts":
        from_ts = task.facts.format_names == "mpegts"
        options |= {"mpegts_copyts": str(int(from_ts)), "muxdelay": "0", "muxpreload": "0"}
    return options | _color_options(task)


def _filters(task: FinalTask, kept: KeptStream, cut: CutStream | None) -> Iterator[str]:
    """Filters of a stream that is encoded again, in their order; none where it is copied."""
    if cut is not None and cut.samples:
        yield cut.samples
    if kept.codec == "libopus" and ffmpeg_version(task.binary) < _OPUS_IN_TIME:
        yield _OPUS_LATER
    yield from (value for name, value in kept.options if name == "filter")


def _chapters_input(task: FinalTask) -> str:
    """Number of the input that chapters are taken from: the source, or the file after all cuts."""
    if not task.streams.keep_chapters:
        return "-1"
    return "1" if task.cut is None else str(2 + len(task.cut.streams))


def _last_duration(task: FinalTask) -> str:
    """A filter that gives the last frame its own duration.

    MP4 keeps the distances of decode times: read back, the last frame has that of another one.
    """
    due = f"{task.last_duration.numerator}/{task.last_duration.denominator}/TB"
    return f"setts=pts=PTS:dts=DTS:duration=DURATION+({due}-DURATION)*not(N-{task.last_packet})"


def _color_options(task: FinalTask) -> dict[str, str]:
    """Tags for the container's own header, for codecs whose packets do not carry them."""
    color = task.choice.color
    named = {
        "color_primaries:v:0": color.primaries if color.primaries != 2 else None,
        "color_trc:v:0": color.trc if color.trc != 2 else None,
        "colorspace:v:0": color.space if color.space != 2 else None,
        "color_range:v:0": color.range or None,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _tag_options(task: FinalTask) -> Iterable[str]:
    """Options that occur several times: tags that are no longer true, and the mark."""
    for name in task.facts.video_tags:
        low = name.lower()
        if low in _UNTRUE_TAGS or low.startswith(_UNTRUE_PREFIXES):
            yield from ("-metadata:s:v:0", f"{name}=")
    if not task.rules.is_mov:
        for name in task.facts.tags:
            if name.lower() in _CONTAINER_TAGS:
                yield from ("-metadata", f"{name}=")
    if task.rules.muxer == "mov":
        for place, kept in enumerate(mapped(task.streams), start=1):
            language = task.facts.stream_tags[kept.source_index].get("language", "")
            if language in _MOV_LANGUAGES:
                yield from (f"-metadata:s:{place}", f"language={_MOV_LANGUAGES[language]}")
    if task.strip_metadata:
        yield from _stripped(task)
    if task.altered_by:
        yield from ("-metadata", f"comment={altered_comment(task.facts.tags, task.altered_by)}")
    for name, value in task.mark_tags.items():
        yield from ("-metadata", f"{name}={value}")


def _stripped(task: FinalTask) -> Iterable[str]:
    """Options that take out what tells place and device, of the file and of each stream."""
    for name in private_tags(task.facts.tags):
        yield from ("-metadata", f"{name}=")
    sources = (task.video_index, *(each.source_index for each in mapped(task.streams)))
    for place, source in enumerate(sources):
        for name in private_tags(task.facts.stream_tags[source]):
            yield from (f"-metadata:s:{place}", f"{name}=")


def altered_comment(tags: dict[str, str], altered_by: tuple[str, ...]) -> str:
    """The comment tag: what was there, and that the pictures are not those of the camera."""
    mark = Mark(altered_by=altered_by).text
    old = next((value for name, value in tags.items() if name.lower() == "comment"), "")
    if not old or mark in old:
        return old or mark
    return f"{old}; {mark}"


def _has_own_tags(task: FinalTask) -> bool:
    """Whether the source has tags that MP4 keeps only in its list of free names."""
    return any(name.lower() not in _PLAIN_MP4_TAGS for name in task.facts.tags)


def shift_of(
    rules: ContainerRules, facts: SourceFacts, first: Fraction, cut: TimeRange | None = None
) -> Fraction:
    """Seconds that all streams are moved by, so that the container can hold the first frame.

    A transport stream begins at any time; elsewhere players would wait for it. Before zero, frames
    would be hidden. Where the clock is 1 ms, the first frame is put on a whole one, so that no
    other is rounded by more than half of that.
    """
    if rules.muxer == "mpegts":
        return Fraction(0)
    shift = max(Fraction(0), -first)
    if cut is not None and cut.start is not None:
        shift = -cut.start
    elif "mpeg" in facts.format_names.split(",")[0]:
        shift = -min(facts.start, first)
    if not rules.exact_times:
        shift += -(first + shift) % _MILLISECOND
    return shift


def display_matrix_is_kept(task: FinalTask) -> bool:
    """Whether this ffmpeg writes the display matrix into this container (Matroska: from 6.1 on)."""
    if not task.rules.display_matrix:
        return False
    return task.rules.is_mov or ffmpeg_version(task.binary) >= (6, 1)


def writes_crop(rules: ContainerRules, binary: Path) -> bool:
    """Whether this ffmpeg writes crop tags into this container."""
    takes = rules.is_mov or rules.muxer in ("matroska", "webm")
    return takes and ffmpeg_version(binary) >= _CROPS_SINCE
