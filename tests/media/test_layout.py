import av
import numpy as np
import pytest

from farm.errors import MediaError
from farm.media.layout import editable_pix_fmt, layout_of
from farm.media.planes import plane_lines


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "p010le", "gbrp12le", "gray", "bgr0", "yuyv422"])
def test_a_format_that_can_be_edited_is_its_own_editable_format(pix_fmt: str) -> None:
    assert editable_pix_fmt(pix_fmt) == pix_fmt


@pytest.mark.parametrize(
    ("pix_fmt", "target"),
    [
        ("yuv420p10be", "yuv420p10le"),
        ("rgb48be", "rgb48le"),
        ("gbrp12be", "gbrp12le"),
        ("gray16be", "gray16le"),
        ("p010be", "p010le"),
        ("rgb8", "rgb24"),
    ],
)
def test_the_way_to_the_editable_format_and_back_changes_no_sample(
    pix_fmt: str, target: str
) -> None:
    assert editable_pix_fmt(pix_fmt) == target
    frame = av.VideoFrame(64, 48, pix_fmt)
    bits = frame.format.components[0].bits
    rng = np.random.default_rng(1)
    for plane in range(len(frame.planes)):
        lines = plane_lines(frame, plane)
        if pix_fmt.endswith("be"):
            values = rng.integers(0, 2**bits, (lines.shape[0], lines.shape[1] // 2))
            shift = 6 if pix_fmt == "p010be" else 0
            lines[...] = (values << shift).astype(">u2").view(np.uint8)
        else:
            lines[...] = rng.integers(0, 256, lines.shape)
    back = frame.reformat(format=target).reformat(format=pix_fmt)
    assert all(
        np.array_equal(plane_lines(frame, p), plane_lines(back, p))
        for p in range(len(frame.planes))
    )


def test_bit_fields_are_spread_out_exactly() -> None:
    frame = av.VideoFrame(64, 48, "x2rgb10le")
    words = np.random.default_rng(2).integers(0, 2**30, (48, 64)).astype("<u4")
    plane_lines(frame, 0)[:, :256] = words.view(np.uint8)
    spread = frame.reformat(format=editable_pix_fmt("x2rgb10le"))
    for plane, shift in ((0, 10), (1, 0), (2, 20)):
        samples = plane_lines(spread, plane).view("<u2")[:, :64]
        assert np.array_equal(samples, words >> shift & 1023)


def test_one_bit_pictures_become_black_and_white() -> None:
    frame = av.VideoFrame(64, 48, "monow")
    plane_lines(frame, 0)[...] = 0b10101010
    gray = plane_lines(frame.reformat(format=editable_pix_fmt("monow")), 0)
    assert gray[5, :4].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("pix_fmt", ["bayer_rggb8", "xyz12le", "gbrpf32le", "y210be", "cuda", "?"])
def test_a_format_that_cannot_be_edited_is_named(pix_fmt: str) -> None:
    with pytest.raises(MediaError, match=pix_fmt.replace("?", r"\?")):
        editable_pix_fmt(pix_fmt)


def test_a_layout_knows_depth_grid_and_unused_bits() -> None:
    assert layout_of("yuv411p").grid == (4, 1)
    assert layout_of("p010le").shift == 6
    assert layout_of("yuva422p12le").depth == 12
    assert layout_of("yuvj420p").full_range
    assert layout_of("gbrap").grid == (1, 1)
