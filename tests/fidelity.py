"""What a render keeps of a source: the rows of docs/fidelity.md, and how they are compared.

Not for: making the sources (`tests.recipes`), or running as a test (`tests.cluster.test_fidelity`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from farm.media.chroma import CODECS, NAMES, chroma_location
from farm.media.hdr import read_hdr
from farm.media.layout import Component, layout_of
from farm.media.pixel_formats import has_alpha
from farm.media.planes import plane_lines
from farm.media.stream import StreamParameters
from farm.media.verify_audio import without_adts
from farm.settings import (
    AnonymizeMethod,
    EncoderSettings,
    MaskShape,
    OnChange,
    ProcessorSettings,
    RenderSettings,
    ShapeSettings,
)
from tests.media_maker import frame_md5, main_video, serial_decode, serial_frames
from tests.model_maker import make_scrfd
from tests.recipes.faces import face_box

NOTHING = ProcessorSettings(names=("none",))
COVERING = ProcessorSettings(
    names=("face_anonymizer",),
    detector="scrfd",
    anonymize_method=AnonymizeMethod.SOLID,
    anonymize_shape=MaskShape.BOX,
    anonymize_padding=0.1,
)
_MARGIN_PX = 10
_TEXT_TAGS = ("title", "artist", "comment", "language")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: a source, how it is rendered, and what must be kept."""

    name: str
    """Of the source in the registry of recipes."""
    suffix: str = ".mp4"
    settings: dict[str, Any] = field(default_factory=dict)
    shows: str
    """What the row is there for."""
    changed: frozenset[str] = frozenset()
    """Columns that are meant to differ, because it was asked for or cannot be held."""
    said: str = ""
    """What the notes of the render must say."""
    untimed: bool = False
    """Whether the source has no times of its own, so that only distances count."""
    faces: int = 0
    """Pictures of the raw clip that a frame shows, where faces are covered; 0 where none are."""

    @property
    def title(self) -> str:
        """Name of the row in tests."""
        return f"{self.name}->{self.suffix} {self.shows}"

    def render_settings(self, source: Path, folder: Path) -> RenderSettings:
        """Render losslessly, changing nothing, but for the row's own settings."""
        values: dict[str, Any] = {
            "target": source,
            "output": folder / f"out{self.suffix}",
            "processors": NOTHING,
            "video_quality": 0,
            "encoding": EncoderSettings(hardware=False),
            "workers": 1,
        }
        if self.faces:
            values |= {
                "processors": COVERING,
                "models": (("detector", make_scrfd(folder / "scrfd.onnx")),),
                "allow_unverified_models": True,
            }
        return RenderSettings(**(values | self.settings))


@dataclass(slots=True, kw_only=True)
class Kept:
    """What was found, a short text for each column; `ok` where it is as it must be."""

    texts: dict[str, str] = field(default_factory=dict)
    differs: set[str] = field(default_factory=set)

    def add(self, column: str, same: bool, text: str) -> None:
        """Fill a column."""
        self.texts[column] = text
        if not same:
            self.differs.add(column)


COLUMNS = ("frames", "times", "pixels", "audio", "tags", "streams")


def compare(row: Row, source: Path, output: Path) -> Kept:
    """Compare what a player would see and hear of two files."""
    kept = Kept()
    before, after = serial_frames(source), serial_frames(output)
    kept.add("frames", len(before) == len(after), f"{len(after)} of {len(before)}")
    off_ms = _times_off_ms(before, after, source, output, row.untimed)
    limit = 0.0 if output.suffix in (".mp4", ".mov") else 0.5
    kept.add("times", off_ms <= limit, "exact" if off_ms == 0 else f"within {off_ms:.2f} ms")
    if row.faces:
        kept.add("pixels", _only_faces_differ(row, source, output), "identical outside the faces")
    else:
        other = _other_pictures(source, output)
        kept.add("pixels", other == 0, "identical" if other == 0 else f"{other} frames differ")
    sound, heard = _sound(source), _sound(output)
    count = sum(len(track) for track in heard)
    kept.add("audio", sound == heard, f"{len(heard)} tracks, {count} packets" if heard else "none")
    lost = _differences(_tags(source), _tags(output))
    kept.add("tags", not lost, "same" if not lost else "; ".join(lost))
    lost = _differences(_streams(source), _streams(output))
    kept.add("streams", not lost, "same" if not lost else "; ".join(lost))
    return kept


def _sound(path: Path) -> list[list[bytes]]:
    """The packets of each audio track, without what only transport streams put before them."""
    with av.open(str(path)) as container:
        tracks: dict[int, list[bytes]] = {s.index: [] for s in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if tracks else ():
            if packet.size:
                tracks[packet.stream_index].append(without_adts(bytes(packet)))
        return list(tracks.values())


def _times_off_ms(
    before: list[Any], after: list[Any], source: Path, output: Path, untimed: bool
) -> float:
    """How far a timestamp is off at most; against the first frame where a clock begins anew."""
    if untimed:
        steps = [b.time_s - a.time_s for a, b in itertools.pairwise(after)]
        spread = float(max(steps, default=0) - min(steps, default=0)) * 1000
        return 0.0 if spread < 2.1 else spread
    one, two = [f.time_s for f in before], [f.time_s for f in after]
    absolute = output.suffix in (".mp4", ".mov") and one[0] >= 0 and source.suffix != ".ts"
    start = Fraction(0) if absolute else two[0] - one[0]
    return float(max(abs(b - a - start) for a, b in zip(one, two, strict=False))) * 1000


def _other_pictures(source: Path, output: Path) -> int:
    """How many pictures have other samples, or, where RGB is stored in another way, colours."""
    pairs = zip(serial_decode(source), serial_decode(output), strict=False)
    return sum(_samples(one, two) != _samples(two, one) for one, two in pairs)


def _samples(frame: av.VideoFrame, other: av.VideoFrame) -> str:
    rgb = frame.format.is_rgb or frame.format.has_palette
    if rgb and frame.format.name != other.format.name:
        both = has_alpha(frame.format.name) and has_alpha(other.format.name)
        frame = frame.reformat(format="rgba64le" if both else "rgb48le")
    return frame_md5(frame).replace("yuvj", "yuv")


def _only_faces_differ(row: Row, source: Path, output: Path) -> bool:
    """Whether samples differ under the faces, and nowhere else."""
    pairs = zip(serial_decode(source), serial_decode(output), strict=True)
    return all(
        _differs_inside_only(one, two, range(row.faces * number, row.faces * (number + 1)))
        for number, (one, two) in enumerate(pairs)
    )


def _differs_inside_only(one: av.VideoFrame, two: av.VideoFrame, shown: range) -> bool:
    inside = np.zeros((one.height, one.width), np.bool_)
    core = inside.copy()
    for number in shown:
        left, top, right, bottom = face_box(number)
        inside[top - _MARGIN_PX : bottom + _MARGIN_PX, left - _MARGIN_PX : right + _MARGIN_PX] = 1
        core[top + 4 : bottom - 4, left + 4 : right - 4] = 1
    for component in layout_of(one.format.name).components:
        before, after = (_component(frame, component) for frame in (one, two))
        steps = (slice(None, None, component.sub_y), slice(None, None, component.sub_x))
        if (before != after)[~inside[steps]].any() or (before == after)[core[steps]].any():
            return False
    return True


def _component(frame: av.VideoFrame, component: Component) -> NDArray[Any]:
    layout = layout_of(frame.format.name)
    lines = plane_lines(frame, component.plane).view(layout.dtype)
    rows, columns = -(-frame.height // component.sub_y), -(-frame.width // component.sub_x)
    return lines[:rows, component.offset :: component.step][:, :columns]


def _tags(path: Path) -> dict[str, str]:
    """Everything that is said of the pictures, and the tags that people read."""
    with av.open(str(path)) as container:
        stream = main_video(container)
        frame = next(serial_decode(path))
        hdr = read_hdr(frame)
        coded = stream.codec_context.codec.canonical_name in CODECS
        found = {
            "size": f"{frame.width}x{frame.height}",
            "pix_fmt": frame.format.name.replace("yuvj", "yuv"),
            "matrix": str(int(frame.colorspace)),
            "primaries": str(int(frame.color_primaries)),
            "transfer": str(int(frame.color_trc)),
            "full range": str(int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")),
            "aspect": str(stream.sample_aspect_ratio or 1),
            "rotation": str(frame.rotation),
            "interlaced": str(frame.interlaced_frame),
            "chroma": NAMES[chroma_location(path, stream.index)] if coded else NAMES[0],
            "mastering": "" if hdr is None else str(hdr),
        }
        for name, value in container.metadata.items():
            if name.lower() in _TEXT_TAGS:
                found[name.lower()] = value
        return found


def _streams(path: Path) -> dict[str, str]:
    """The other streams: kinds, languages, dispositions; chapters."""
    with av.open(str(path)) as container:
        kinds: dict[str, str] = {}
        main = main_video(container).index
        for kind in ("video", "audio", "subtitle", "attachment"):
            of_kind = [s for s in container.streams if s.type == kind and s.index != main]
            kinds[kind] = ",".join(_said_of(stream) for stream in of_kind)
        kinds["chapters"] = ",".join(_said_of_chapter(each) for each in container.chapters())
        return kinds


def _said_of_chapter(chapter: Any) -> str:
    start_s = float(chapter["start"] * Fraction(chapter["time_base"] or 1))
    return f"{start_s:.2f}:{chapter['metadata'].get('title', '')}"


def _said_of(stream: Any) -> str:
    language = stream.metadata.get("language", "und")
    cover = bool(stream.disposition & Disposition.attached_pic)
    forced = bool(stream.disposition & Disposition.forced)
    return f"{language}{' cover' * cover}{' forced' * forced}"


def _differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [
        f"{name}: {value or 'none'} becomes {after.get(name) or 'none'}"
        for name, value in before.items()
        if after.get(name, "") != value
    ]


_X265 = {"video_encoder": "libx265"}
_FFV1 = {"video_encoder": "ffv1"}
_VP9 = {"video_encoder": "libvpx-vp9"}

ROWS: tuple[Row, ...] = (
    Row(name="plain.mp4", shows="H.264 with B-frames and sound"),
    Row(name="h264_open_gop.mp4", shows="open groups of pictures"),
    Row(name="h264_b_pyramid.mp4", shows="B-pyramid"),
    Row(name="vfr.mp4", shows="variable frame rate"),
    Row(name="vfr.mkv", suffix=".mkv", shows="variable frame rate on a 1 ms clock"),
    Row(name="one_gop.mp4", shows="one keyframe in all"),
    Row(name="intra_refresh.mp4", shows="keyframes that are none"),
    Row(name="no_reorder_info.mp4", shows="headers that hide the reorder depth"),
    Row(name="hevc_open_gop.mp4", settings=_X265, shows="HEVC, open groups of pictures"),
    Row(name="vp9_hidden_frames.webm", suffix=".webm", settings=_VP9, shows="VP9, hidden frames"),
    Row(name="raw.264", shows="a raw stream without times", untimed=True),
    Row(name="bframes.avi", shows="AVI, times in decode order", untimed=True),
    Row(name="edit_list.mp4", shows="an edit list that hides frames"),
    Row(name="late_video.mp4", shows="video that begins after the sound"),
    Row(name="late_audio.mp4", shows="sound that begins after the video"),
    Row(name="late_start.mkv", suffix=".mkv", shows="a clock that begins at 10 s"),
    Row(name="h264.ts", shows="MPEG-TS with H.264"),
    Row(name="mpeg2.ts", shows="MPEG-TS with MPEG-2 and MP2"),
    Row(name="fragmented.mp4", shows="fragmented MP4"),
    Row(name="one_frame.mp4", shows="a single frame"),
    Row(name="skipped_frames.avi", shows="AVI with skipped frames"),
    Row(name="h264_10bit.mp4", shows="10 bit"),
    Row(name="h264_422_10bit.mp4", shows="4:2:2, 10 bit"),
    Row(name="hevc_422_10bit.mp4", settings=_X265, shows="HEVC 4:2:2, 10 bit"),
    Row(name="hevc_12bit.mp4", settings=_X265, shows="HEVC, 12 bit"),
    Row(name="hlg.mp4", settings=_X265, shows="HLG, BT.2020"),
    Row(name="pq_mastering.mp4", settings=_X265, shows="HDR10 with its mastering display"),
    Row(name="full_range_601.mp4", shows="full range, BT.601"),
    Row(name="gray.mp4", shows="gray"),
    Row(name="gray_10bit.mkv", suffix=".mkv", settings=_FFV1, shows="gray, 10 bit"),
    Row(name="odd_444.mp4", shows="odd size, 4:4:4"),
    Row(name="odd_420.webm", suffix=".webm", settings=_VP9, shows="odd size, 4:2:0"),
    Row(
        name="png.mov",
        suffix=".mkv",
        settings=_FFV1,
        shows="RGB",
        changed=frozenset({"tags"}),
    ),
    Row(
        name="alpha.mov",
        suffix=".mkv",
        settings=_FFV1,
        shows="transparency",
        changed=frozenset({"pixels", "tags"}),
    ),
    Row(name="prores.mov", suffix=".mkv", settings=_FFV1, shows="ProRes 4:2:2, 10 bit"),
    Row(name="ffv1.mkv", suffix=".mkv", settings=_FFV1, shows="FFV1"),
    Row(name="sar.mp4", shows="sample aspect ratio"),
    Row(name="chroma_top_left.mp4", shows="where chroma samples lie"),
    Row(name="rot90.mp4", shows="rotated by 90 degrees"),
    Row(name="rot180.mp4", shows="rotated by 180 degrees"),
    Row(name="rot90_flipped.mp4", shows="rotated and mirrored"),
    Row(
        name="interlaced.mp4",
        suffix=".mkv",
        settings=_FFV1,
        shows="interlaced",
        said="field by field",
    ),
    Row(
        name="interlaced.mp4",
        settings={"shape": ShapeSettings(deinterlace=True)},
        shows="--deinterlace",
        changed=frozenset({"pixels", "tags"}),
        said="deinterlaced",
    ),
    Row(
        name="plain.mp4",
        settings={"shape": ShapeSettings(scale="320x192")},
        shows="--scale 320x192",
        changed=frozenset({"pixels", "tags"}),
        said="scaled",
    ),
    Row(
        name="size_changes.ts",
        settings={"shape": ShapeSettings(on_change=OnChange.SCALE)},
        shows="--on-change scale",
        changed=frozenset({"pixels", "times"}),
    ),
    Row(name="multi.mkv", suffix=".mkv", shows="two tracks, subtitles, chapters, attachment"),
    Row(name="multi.mp4", shows="two tracks, subtitles, chapters"),
    Row(name="cover.mp4", shows="a cover larger than the video"),
    Row(name="thumbnail_first.mp4", shows="a thumbnail as the first track"),
    Row(
        name="multi.mp4",
        suffix=".webm",
        settings=_VP9,
        shows="sound and subtitles that WebM cannot hold",
        changed=frozenset({"audio"}),
        said="becomes opus",
    ),
    Row(
        name="cover.mp4",
        settings={"strip_metadata": True},
        shows="--strip-metadata",
    ),
    Row(
        name="plain.mp4",
        settings={"copy_untouched": True, "video_quality": 30},
        shows="--copy-untouched, everywhere, at quality 30",
        said="60 of 60 frames keep",
    ),
    Row(
        name="hevc_closed_gop.mp4",
        settings=_X265 | {"copy_untouched": True, "video_quality": 30},
        shows="--copy-untouched, HEVC",
        said="60 of 60 frames keep",
    ),
    Row(
        name="h264_open_gop.mp4",
        settings={"copy_untouched": True, "video_quality": 30},
        shows="--copy-untouched, open groups of pictures",
        said="60 of 60 frames keep",
    ),
    Row(
        name="hevc_open_gop.mp4",
        settings=_X265 | {"copy_untouched": True, "video_quality": 30},
        shows="--copy-untouched, HEVC, open groups of pictures",
        said="60 of 60 frames keep",
    ),
    Row(name="faces.mp4", shows="covered faces", faces=1),
    Row(name="faces_rot90.mp4", shows="covered faces, rotated", faces=1),
    Row(name="faces_hlg.mkv", suffix=".mkv", settings=_FFV1, shows="covered faces, HLG", faces=1),
    Row(
        name="faces_pq.mkv",
        suffix=".mkv",
        settings=_FFV1,
        shows="covered faces, PQ 4:2:2, 12 bit",
        faces=1,
    ),
    Row(
        name="faces_interlaced.mkv",
        suffix=".mkv",
        settings=_FFV1,
        shows="covered faces, interlaced",
        faces=2,
    ),
)


def row_for(path: Path, stream: StreamParameters) -> Row:
    """The row of a file that is not in the registry: rendered as it can be kept best."""
    pix_fmt, fields = stream.pix_fmt, stream.field_order > 1
    rgb = pix_fmt.startswith(("rgb", "bgr", "gbr", "argb", "pal"))
    wide = rgb or fields or "a" in pix_fmt.removeprefix("gray") or path.suffix in (".webm", ".mkv")
    return Row(
        name=path.name,
        suffix=".mkv" if wide else ".mp4",
        settings=_FFV1 if wide else {},
        shows=path.stem.replace("_", " "),
        untimed=path.suffix in (".264", ".avi"),
        changed=frozenset({"tags"}) if rgb else frozenset(),
    )
