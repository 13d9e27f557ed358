from __future__ import annotations

import pytest

from farm.errors import SettingsError
from farm.media.encoders import choose_encoder
from farm.media.hdr import HdrMetadata
from farm.media.ladder import EncoderLadder, encoder_ladder
from farm.settings import EncoderSettings
from tests.media.finish_case import parameters

NOTHING_ASKED = EncoderSettings()


def names(ladder: EncoderLadder) -> list[str]:
    return [rung.encoder for rung in ladder.rungs]


@pytest.mark.parametrize(
    ("asked", "rungs"),
    [
        ("libx264", ["h264_nvenc", "h264_amf", "h264_qsv", "libx264"]),
        ("libx265", ["hevc_nvenc", "hevc_amf", "hevc_qsv", "libx265"]),
        ("libsvtav1", ["av1_nvenc", "av1_amf", "av1_qsv", "libsvtav1"]),
        ("libvpx-vp9", ["vp9_qsv", "libvpx-vp9"]),
        ("ffv1", ["ffv1"]),
    ],
)
def test_a_software_name_stands_for_its_codec_and_hardware_comes_first(
    asked: str, rungs: list[str]
) -> None:
    assert names(encoder_ladder(asked, 18, parameters(), NOTHING_ASKED)) == rungs


def test_a_hardware_name_stands_for_itself() -> None:
    assert names(encoder_ladder("h264_amf", 18, parameters(), NOTHING_ASKED)) == ["h264_amf"]


@pytest.mark.parametrize(
    "settings",
    [
        EncoderSettings(hardware=False),
        EncoderSettings(preset="slow"),
        EncoderSettings(options=("aq-mode=3",)),
        EncoderSettings(bitrate="2M", two_pass=True),
    ],
)
def test_what_only_the_named_encoder_can_do_forbids_the_upgrade(settings: EncoderSettings) -> None:
    assert names(encoder_ladder("libx264", 18, parameters(), settings)) == ["libx264"]


def test_only_an_encoder_that_can_be_lossless_stands_above_a_lossless_one() -> None:
    assert names(encoder_ladder("libx264", 0, parameters(), NOTHING_ASKED)) == [
        "h264_nvenc",
        "libx264",
    ]


@pytest.mark.parametrize(
    ("pix_fmt", "changes", "words"),
    [
        ("yuv422p10le", {}, "has no pixel format for what libx264 keeps"),
        ("yuv420p", {"field_order": 2}, "does not mark interlaced frames"),
        ("yuv420p", {"width": 95}, "its sides must be even"),
    ],
)
def test_no_upgrade_loses_what_the_named_encoder_keeps(
    pix_fmt: str, changes: dict[str, int], words: str
) -> None:
    ladder = encoder_ladder("libx264", 18, parameters(pix_fmt, **changes), NOTHING_ASKED)
    assert "h264_amf" not in names(ladder)
    assert words in " ".join(ladder.left_out)


def test_hdr_metadata_stays_with_the_encoder_that_writes_it() -> None:
    hdr = HdrMetadata(content_light=(1000, 400))
    ladder = encoder_ladder("libx265", 18, parameters("yuv420p10le"), NOTHING_ASKED, hdr)
    assert names(ladder) == ["libx265"]


def test_nvenc_gets_the_best_preset_two_passes_and_both_adaptive_quantisers() -> None:
    options = dict(choose_encoder("h264_nvenc", 21, parameters())[0].options)
    assert options == {
        "preset": "p7",
        "tune": "hq",
        "rc": "vbr",
        "cq": "21",
        "b": "0",
        "multipass": "fullres",
        "spatial-aq": "1",
        "temporal-aq": "1",
        "forced-idr": "1",
    }


def test_amf_gets_its_quality_preset_and_the_latency_bound_variable_rate() -> None:
    options = dict(choose_encoder("hevc_amf", 21, parameters())[0].options)
    assert (options["quality"], options["rc"], options["qp_i"]) == ("quality", "vbr_latency", "21")


def test_lossless_nvenc_is_asked_for_by_its_tune() -> None:
    assert dict(choose_encoder("hevc_nvenc", 0, parameters())[0].options)["tune"] == "lossless"


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "h264_nvenc", "h264_amf"])
def test_a_bit_rate_takes_the_place_of_the_quality(encoder: str) -> None:
    settings = EncoderSettings(bitrate="2M", maxrate="2500k")
    options = dict(choose_encoder(encoder, 18, parameters(), settings=settings)[0].options)
    assert (options["b"], options["maxrate"]) == ("2000000", "2500000")
    assert not {"crf", "cq", "qp_i"} & set(options)


def test_the_users_options_stand_over_the_farms_and_lists_are_put_together() -> None:
    settings = EncoderSettings(preset="veryfast", options=("crf=30", "x264-params=keyint=12"))
    options = dict(choose_encoder("libx264", 18, parameters(), settings=settings)[0].options)
    assert (options["preset"], options["crf"]) == ("veryfast", "30")
    assert options["x264-params"] == "open-gop=0:keyint=12"


@pytest.mark.parametrize(
    ("encoder", "quality", "settings", "words"),
    [
        ("libsvtav1", 0, {}, "cannot be lossless"),
        ("h264_amf", 0, {}, "cannot be lossless"),
        ("libsvtav1", 18, {"bitrate": "1M", "two_pass": True}, "has one pass only"),
        ("ffv1", 18, {"bitrate": "1M"}, "is lossless"),
        ("libsvtav1", 18, {"bitrate": "1M", "maxrate": "2M"}, "for a quality only"),
        ("libx264", 18, {"pix_fmt": "nv12"}, "libx264 takes gray, gray10le"),
        ("libx264", 18, {"options": ("colour=red",)}, "libx264 has no option 'colour'"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(
    encoder: str, quality: int, settings: dict[str, object], words: str
) -> None:
    asked = EncoderSettings(**settings)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=words):
        choose_encoder(encoder, quality, parameters(), settings=asked)


def test_a_pixel_format_that_is_asked_for_is_taken_and_its_loss_is_said() -> None:
    settings = EncoderSettings(pix_fmt="yuv420p")
    choice, notes = choose_encoder("libx264", 18, parameters("yuv444p10le"), settings=settings)
    assert choice.pix_fmt == "yuv420p"
    assert "10 bit are rounded to 8" in notes[0]
