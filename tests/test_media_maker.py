"""Every recipe is proved to have the property that it is named after."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from tests.media_maker import (
    RECIPES,
    Kind,
    Studio,
    audio_packets,
    main_video,
    names_of,
    serial_decode,
    serial_frames,
    stamps_of,
    video_packets,
)
from tests.stamps import read_stamp

H264_IDR = 5
HEVC_LEADING, HEVC_CRA = range(6, 10), 21


def nal_types(path: Path, bits: tuple[int, int]) -> list[list[int]]:
    """Types of the units of every packet; `bits` are shift and mask of the first byte."""
    with av.open(str(path)) as container:
        stream = main_video(container)
        name = stream.codec_context.name
        to_annex_b = BitStreamFilterContext(f"{name}_mp4toannexb", stream)
        packets = [q for p in container.demux(stream) if p.size for q in to_annex_b.filter(p)]
        return [
            [
                m[1][0] >> bits[0] & bits[1]
                for m in re.finditer(rb"\x00\x00\x01(.)", bytes(q), re.DOTALL)
            ]
            for q in packets
        ]


def h264_types(path: Path) -> list[list[int]]:
    return nal_types(path, (0, 31))


def hevc_types(path: Path) -> list[list[int]]:
    return nal_types(path, (1, 63))


def first_frame(path: Path) -> av.VideoFrame:
    return next(serial_decode(path))


def side_data(frame: av.VideoFrame, name: str) -> bytes:
    return bytes(cast("dict[str, Any]", frame.side_data).get(name, b""))


def display_matrix(path: Path) -> list[int]:
    return [int(v) for v in np.frombuffer(side_data(first_frame(path), "DISPLAYMATRIX"), np.int32)]


def starts(path: Path) -> tuple[Fraction, Fraction]:
    """Time of the first displayed frame and of the first audio packet with a time above zero."""
    frames = [f.time_s for f in serial_frames(path) if f.time_s is not None]
    audio = [p.time_s for p in audio_packets(path)[0] if p.time_s is not None]
    return min(frames), min(audio)


@pytest.mark.parametrize("name", [n for n in names_of(Kind.GOOD) if RECIPES[n].stamps is not None])
def test_every_good_file_shows_the_frames_that_its_recipe_foretells(
    media_studio: Studio, name: str
) -> None:
    path = media_studio.path(name)
    stamps = RECIPES[name].stamps or ()
    assert stamps_of(path) == list(stamps)
    frames = serial_frames(path)
    assert len({frame.md5 for frame in frames}) == len(stamps)
    assert serial_frames(path) == frames


def test_open_gops_start_at_keyframes_whose_leading_pictures_look_back(
    media_studio: Studio,
) -> None:
    path = media_studio.path("h264_open_gop.mp4")
    packets = video_packets(path)
    idr = sum(H264_IDR in types for types in h264_types(path))
    keys = [i for i, p in enumerate(packets) if p.is_keyframe]
    assert idr == 1 < len(keys)
    pts = [p.pts or 0 for p in packets]
    assert any(pts[i + 1] < pts[i] for i in keys[1:])


def test_hevc_open_gops_have_leading_pictures(media_studio: Studio) -> None:
    types = [t for units in hevc_types(media_studio.path("hevc_open_gop.mp4")) for t in units]
    assert types.count(HEVC_CRA) > 2
    assert any(t in HEVC_LEADING for t in types)


def test_the_pyramid_needs_two_frames_of_reordering(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("h264_b_pyramid.mp4"))) as container:
        assert main_video(container).codec_context.reorder_depth == 2


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_frame_rates_vary(media_studio: Studio, name: str) -> None:
    times = [f.time_s for f in serial_frames(media_studio.path(name)) if f.time_s is not None]
    gaps = {round((b - a) * 1000) for a, b in pairwise(times)}
    assert len(times) == 44
    assert max(gaps) > min(gaps) * 1.8


def test_one_gop_has_one_keyframe(media_studio: Studio) -> None:
    assert sum(p.is_keyframe for p in video_packets(media_studio.path("one_gop.mp4"))) == 1


def test_intra_refresh_flags_keyframes_that_are_none(media_studio: Studio) -> None:
    path = media_studio.path("intra_refresh.mp4")
    idr = sum(H264_IDR in types for types in h264_types(path))
    assert idr == 1 < sum(p.is_keyframe for p in video_packets(path))


def bare_decode(path: Path, **options: str) -> int:
    """How many frames come out of a decoder that gets packets and extradata and nothing else."""
    with av.open(str(path)) as container:
        stream = main_video(container)
        bare = av.CodecContext.create("h264", "r")
        bare.extradata, bare.options = stream.codec_context.extradata, options
        packets = [av.Packet(bytes(p)) for p in container.demux(stream) if p.size]
        return sum(len(bare.decode(p)) for p in [*packets, None])


def test_without_reorder_information_a_bare_decoder_loses_frames(media_studio: Studio) -> None:
    path = media_studio.path("no_reorder_info.mp4")
    assert bare_decode(media_studio.path("h264_b_pyramid.mp4")) == 60
    assert bare_decode(path) < 60
    assert bare_decode(path, strict="1") == 60


@pytest.mark.parametrize("name", ["fields.ts", "fields.mkv"])
def test_field_pairs_are_two_packets_a_frame(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    assert len(video_packets(path)) == 60
    assert len(serial_frames(path)) == 30
    assert first_frame(path).interlaced_frame


def test_interlaced_frames_say_so(media_studio: Studio) -> None:
    assert first_frame(media_studio.path("interlaced.mp4")).interlaced_frame


def test_avi_counts_timestamps_in_decode_order(media_studio: Studio) -> None:
    packets = video_packets(media_studio.path("bframes.avi"))
    with av.open(str(media_studio.path("bframes.avi"))) as container:
        assert main_video(container).codec_context.reorder_depth > 0
    known = [p.pts for p in packets if p.pts is not None]
    assert len(known) < len(packets) or known == sorted(known)


def test_a_raw_stream_has_no_timestamps(media_studio: Studio) -> None:
    path = media_studio.path("raw.264")
    assert any(p.pts is None for p in video_packets(path))


def test_vp9_hides_frames_inside_packets(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("vp9_hidden_frames.webm"))) as container:
        stream = main_video(container)
        split = BitStreamFilterContext("vp9_superframe_split", stream)
        packets = [p for p in container.demux(stream) if p.size]
        assert sum(len(split.filter(p)) for p in packets) > len(packets) == 60


def test_vp9_hidden_frames_can_be_packets_of_their_own(media_studio: Studio) -> None:
    assert len(video_packets(media_studio.path("vp9_hidden_packets.avi"))) > 60


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("prores.mov", "prores", "yuv422p10le"),
        ("png.mov", "png", "rgb24"),
        ("rawvideo.avi", "rawvideo", "yuv420p"),
        ("ffv1.mkv", "ffv1", "yuv420p"),
        ("alpha.mov", "qtrle", "argb"),
        ("palette.mkv", "png", "pal8"),
        ("h264_10bit.mp4", "h264", "yuv420p10le"),
        ("h264_422_10bit.mp4", "h264", "yuv422p10le"),
        ("hevc_10bit.mp4", "hevc", "yuv420p10le"),
        ("hevc_422_10bit.mp4", "hevc", "yuv422p10le"),
        ("gray.mkv", "ffv1", "gray"),
        ("gray_10bit.mkv", "ffv1", "gray10le"),
        ("odd_444.mp4", "h264", "yuv444p"),
        ("odd_420.webm", "vp9", "yuv420p"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
        ("full_range_601.mp4", "h264", "yuv420p"),
    ],
)
def test_codecs_and_pixel_formats_are_what_the_names_say(
    media_studio: Studio, name: str, codec: str, pix_fmt: str
) -> None:
    path = media_studio.path(name)
    frame = first_frame(path)
    assert frame.format.name.replace("yuvj", "yuv") == pix_fmt
    assert (frame.width % 2 == frame.height % 2 == 1) == name.startswith("odd")
    with av.open(str(path)) as container:
        assert main_video(container).codec_context.name == codec


def test_monochrome_h264_has_no_colour(media_studio: Studio) -> None:
    colours = first_frame(media_studio.path("gray.mp4")).to_ndarray(format="rgb24").astype(int)
    assert int(np.ptp(colours, axis=2).max()) == 0


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("full_range_601.mp4", (2, 6, 6, 6)),
        ("hlg.mp4", (1, 9, 9, 18)),
        ("pq_mastering.mp4", (1, 9, 9, 16)),
    ],
)
def test_colour_tags_are_kept(
    media_studio: Studio, name: str, tags: tuple[int, int, int, int]
) -> None:
    frame = first_frame(media_studio.path(name))
    found = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    assert tuple(int(v) for v in found) == tags


def test_mastering_metadata_reaches_the_frames(media_studio: Studio) -> None:
    frame = first_frame(media_studio.path("pq_mastering.mp4"))
    assert side_data(frame, "MASTERING_DISPLAY_METADATA")
    assert side_data(frame, "CONTENT_LIGHT_LEVEL")


@pytest.mark.parametrize(
    ("name", "corner"),
    [
        ("rot90.mp4", [0, -1, 1, 0]),
        ("rot180.mp4", [-1, 0, 0, -1]),
        ("rot270.mp4", [0, 1, -1, 0]),
        ("rot90_flipped.mp4", None),
    ],
)
def test_display_matrices_turn_and_mirror(
    media_studio: Studio, name: str, corner: list[int] | None
) -> None:
    matrix = display_matrix(media_studio.path(name))
    a, b, c, d = (matrix[i] // 65536 for i in (0, 1, 3, 4))
    assert a * d - b * c == (1 if corner else -1)
    assert corner is None or [a, b, c, d] == corner


def test_pixels_of_the_wide_file_are_not_square(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("sar.mp4"))) as container:
        assert main_video(container).sample_aspect_ratio == Fraction(48, 55)


def test_a_file_without_audio_has_none(media_studio: Studio) -> None:
    assert audio_packets(media_studio.path("no_audio.mp4")) == []


@pytest.mark.parametrize("name", ["multi.mkv", "multi.mp4"])
def test_many_streams_and_chapters_are_in_one_file(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    assert [len(track) > 50 for track in audio_packets(path)] == [True, True]
    with av.open(str(path)) as container:
        assert [s.metadata.get("language") for s in container.streams.audio] == ["eng", "deu"]
        assert len(container.streams.subtitles) == 1
        assert len(container.chapters()) == 2
        assert container.metadata["title"] == "Stamped"
        attachments = [s for s in container.streams if s.type == "attachment"]
        assert len(attachments) == (1 if name == "multi.mkv" else 0)


def test_an_edit_list_hides_packets(media_studio: Studio) -> None:
    path = media_studio.path("edit_list.mp4")
    packets = video_packets(path)
    assert len(packets) > len(serial_frames(path))
    assert any(p.is_discard for p in packets)


def test_late_streams_start_late(media_studio: Studio) -> None:
    video, audio = starts(media_studio.path("late_video.mp4"))
    assert 0.4 < video - audio < 0.5
    video, audio = starts(media_studio.path("late_audio.mp4"))
    assert 0.25 < audio - video < 0.35


@pytest.mark.parametrize(("name", "least"), [("late_start.mkv", 9.9), ("h264.ts", 1.3)])
def test_a_file_may_start_at_another_time_than_zero(
    media_studio: Studio, name: str, least: float
) -> None:
    assert min(starts(media_studio.path(name))) > least


def test_a_fragmented_file_has_many_fragments(media_studio: Studio) -> None:
    assert media_studio.path("fragmented.mp4").read_bytes().count(b"moof") > 2


def test_the_cover_is_larger_than_the_video_and_is_no_video(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("cover.mp4"))) as container:
        assert sorted(s.codec_context.width for s in container.streams.video) == [160, 320]
        assert main_video(container).codec_context.width == 160


def test_the_thumbnail_comes_before_the_video(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("thumbnail_first.mp4"))) as container:
        assert [s.codec_context.width for s in container.streams.video] == [20, 160]


def test_files_that_are_no_media_are_what_they_are_named(media_studio: Studio) -> None:
    content = {name: media_studio.path(name).read_bytes() for name in names_of(Kind.BAD)}
    assert content["zero.mp4"] == b""
    assert content["text.mp4"].isascii()
    assert content["playlist_named.mp4"].startswith(b"#EXTM3U")
    assert content["concat_named.mp4"].startswith(b"ffconcat")
    assert content["png_named.mp4"].startswith(b"\x89PNG")
    assert b"ftyp" in content["no_moov.mp4"][:16]
    assert b"moov" not in content["no_moov.mp4"]


def test_sound_only_has_audio_and_no_video(media_studio: Studio) -> None:
    with av.open(str(media_studio.path("sound_only.mp4"))) as container:
        assert [s.type for s in container.streams] == ["audio"]


def test_the_size_changes_in_mid_stream(media_studio: Studio) -> None:
    frames = list(serial_decode(media_studio.path("size_changes.ts")))
    assert {(f.width, f.height) for f in frames} == {(160, 96), (96, 64)}


@pytest.mark.parametrize("name", ["truncated.mkv", "truncated_fragmented.mp4"])
def test_truncated_files_decode_up_to_their_end(media_studio: Studio, name: str) -> None:
    stamps = [n for n in readable_stamps(media_studio.path(name)) if n is not None]
    assert 20 < len(stamps) < 60
    assert stamps[:20] == list(range(20))


def test_bit_flips_damage_frames_in_the_middle(media_studio: Studio) -> None:
    whole = [f.md5 for f in serial_frames(media_studio.path("h264_open_gop.mp4"))]
    path = media_studio.path("bit_flips.mp4")
    hurt = [f.md5 for f in serial_frames(path)]
    assert 5 < len(set(whole) & set(hurt)) < 60
    assert any(frame.is_corrupt for frame in serial_decode(path))


def readable_stamps(path: Path) -> Iterator[int | None]:
    for frame in serial_decode(path):
        try:
            yield read_stamp(frame)
        except ValueError:
            yield None


def test_making_a_file_twice_gives_the_same_file(media_studio: Studio, tmp_path: Path) -> None:
    again = Studio(tmp_path, RECIPES)
    for name in ("plain.mp4", "bit_flips.mp4", "fields.ts"):
        assert again.path(name).read_bytes() == media_studio.path(name).read_bytes()
