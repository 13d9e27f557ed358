from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from farm.errors import SettingsError
from farm.media.encoders import (
    EncoderChoice,
    choose_encoder,
    encoder_threads,
    intermediate_encoder,
)
from farm.media.hdr import HdrMetadata
from farm.media.stream import ColorTags, StreamParameters
from tests.media.finish_case import parameters


def choice(name: str, quality: int, pix_fmt: str, **changes: Any) -> EncoderChoice:
    return choose_encoder(name, quality, parameters(pix_fmt, **changes))[0]


@pytest.mark.parametrize(
    ("name", "source", "pix_fmt"),
    [
        ("libx264", "yuv420p", "yuv420p"),
        ("libx264", "yuvj420p", "yuvj420p"),
        ("libx264", "yuv422p10le", "yuv422p10le"),
        ("libx264", "gray10le", "gray10le"),
        ("libx264", "nv12", "yuv420p"),
        ("libx264", "p010le", "yuv420p10le"),
        ("libx265", "yuv444p12le", "yuv444p12le"),
        ("libx265", "rgb24", "gbrp"),
        ("libvpx-vp9", "yuvj420p", "yuv420p"),
        ("libvpx-vp9", "gray", "yuv420p"),
        ("ffv1", "argb", "bgra"),
        ("ffv1", "rgba64le", "rgba64le"),
        ("ffv1", "yuv420p12le", "yuv420p12le"),
    ],
)
def test_the_nearest_format_loses_nothing(name: str, source: str, pix_fmt: str) -> None:
    chosen, notes = choose_encoder(name, 0, parameters(source))
    assert (chosen.pix_fmt, notes, chosen.exact) == (pix_fmt, (), True)


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("libx264", "rgba", "transparency is dropped"),
        ("libx264", "yuv444p12le", "12 bit are rounded to 10"),
        ("libx264", "gbrp10le", "RGB is rounded to YUV"),
        ("libx264", "yuv411p", "chroma is resampled"),
        ("libvpx-vp9", "yuv420p10le", "10 bit are rounded to 8"),
    ],
)
def test_a_loss_is_said(name: str, source: str, words: str) -> None:
    chosen, notes = choose_encoder(name, 0, parameters(source))
    assert words in " ".join(notes)
    assert not chosen.exact


def test_odd_sizes_get_whole_chroma_only_where_the_encoder_needs_it() -> None:
    assert choice("libx264", 18, "yuv420p", width=95).pix_fmt == "yuv444p"
    assert choice("libvpx-vp9", 18, "yuv420p", width=95).pix_fmt == "yuv420p"


def test_lossless_rgb_stays_rgb_and_lossy_rgb_becomes_yuv_with_its_matrix() -> None:
    assert choice("libx264", 0, "rgb24").encoder == "libx264rgb"
    lossy = choice("libx264", 18, "rgb24")
    assert (lossy.encoder, lossy.pix_fmt) == ("libx264", "yuv444p")
    assert (lossy.color.space, lossy.color.range) == (6, 1)


def test_lossless_is_never_asked_for_by_crf() -> None:
    assert dict(choice("libx264", 0, "yuv420p10le").options)["qp"] == "0"
    assert "lossless=1" in dict(choice("libx265", 0, "yuv420p").options)["x265-params"]
    assert dict(choice("libvpx-vp9", 0, "yuv420p").options)["lossless"] == "1"
    for name in ("libx264", "libx265", "libvpx-vp9"):
        assert "crf" not in dict(choice(name, 0, "yuv420p").options)


def test_quality_is_put_on_the_encoders_own_scale() -> None:
    assert dict(choice("libx264", 23, "yuv420p").options)["crf"] == "23"
    assert dict(choice("libvpx-vp9", 51, "yuv420p").options)["crf"] == "63"
    assert dict(choice("libx264", 23, "yuv420p").options)["tune"] == "film"


def test_fields_are_coded_as_fields_by_x264_and_said_elsewhere() -> None:
    fields = parameters(field_order=2)
    assert dict(choose_encoder("libx264", 18, fields)[0].options)["flags"] == "+ildct+ilme"
    chosen, notes = choose_encoder("libx265", 18, fields)
    assert not chosen.interlaced
    assert "interlaced" in notes[0]


def test_hdr_metadata_reaches_the_encoder() -> None:
    hdr = HdrMetadata(
        mastering_display="G(1,2)B(3,4)R(5,6)WP(7,8)L(9,1)", content_light=(1000, 400)
    )
    options = dict(choose_encoder("libx265", 18, parameters("yuv420p10le"), hdr=hdr)[0].options)
    assert "master-display=G(1,2)B(3,4)R(5,6)WP(7,8)L(9,1)" in options["x265-params"]
    assert "max-cll=1000,400" in options["x265-params"]


def test_full_range_by_name_is_full_range_by_tag() -> None:
    assert choice("libvpx-vp9", 18, "yuvj420p").color == ColorTags(range=2)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'libx264'"):
        choice("x264", 18, "yuv420p")


def test_an_encoder_that_cannot_be_lossless_says_so() -> None:
    with pytest.raises(SettingsError, match="cannot be lossless"):
        choice("libsvtav1", 0, "yuv420p")


def test_threads_follow_the_size_of_the_picture_alone() -> None:
    sizes = [(320, 180), (1280, 720), (1920, 1080), (3840, 2160)]
    assert [encoder_threads(*size) for size in sizes] == [1, 2, 4, 8]


def test_intermediates_are_lossless_frames_by_themselves() -> None:
    stream: StreamParameters = parameters("yuv422p10le", frame_rate=Fraction(25))
    made = intermediate_encoder(stream)
    assert (made.codec, made.pix_fmt, made.lossless) == ("ffv1", "yuv422p10le", True)
    assert dict(made.options)["g"] == "1"
