"""Whole frames as RGB: unchanged where nothing is changed, whatever their format."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from farm.media.planes import plane_lines
from farm.media.stream import ColorTags
from farm.media.whole import read_rgb, write_rgb
from tests.media_maker import frame_md5

FORMATS = [
    "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p12le", "nv12", "p010le",
    "yuyv422", "gray", "gray10le", "gbrp", "gbrp10le", "rgb24", "bgra", "yuva420p",
]  # fmt: skip
SIZE = (51, 35)


def noise(pix_fmt: str, size: tuple[int, int] = SIZE) -> VideoFrame:
    """A frame of random samples that the format allows."""
    random = np.random.default_rng(4)
    frame = VideoFrame(*size, pix_fmt)
    bits = frame.format.components[0].bits
    for plane in range(len(frame.planes)):
        lines = plane_lines(frame, plane)
        if bits <= 8:
            lines[:] = random.integers(30, 220, lines.shape, np.uint8)
        else:
            values = random.integers(30 << bits - 8, 220 << bits - 8, lines.view(np.uint16).shape)
            lines.view(np.uint16)[:] = values << (6 if pix_fmt == "p010le" else 0)
    return frame


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("space", [1, 5, 9])
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_what_is_not_changed_keeps_every_sample(pix_fmt: str, space: int, full: bool) -> None:
    frame, color = noise(pix_fmt), ColorTags(space=space, range=2 if full else 1)
    before = frame_md5(frame)
    again = write_rgb(read_rgb(frame, color), frame, color)
    assert frame_md5(again) == before
    assert frame_md5(frame) == before


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray", "gbrp"])
def test_white_is_one_and_black_is_zero(pix_fmt: str) -> None:
    color = ColorTags(space=1, range=1)
    for value in (0.0, 1.0):
        frame = write_rgb(np.full((36, 64, 3), value, np.float32), noise(pix_fmt, (64, 36)), color)
        if pix_fmt != "gray":  # swscale takes it for full range
            shown = frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1)
            assert abs(float(shown.to_ndarray().mean()) / 255 - value) < 0.01
        assert np.allclose(read_rgb(frame, color), value, atol=0.005)


def test_hdr_stays_the_signal_that_it_is() -> None:
    color = ColorTags(space=9, range=1, primaries=9, trc=16)
    plain = ColorTags(space=9, range=1)
    frame = noise("yuv420p10le")
    assert np.array_equal(read_rgb(frame, color), read_rgb(frame, plain))


def test_alpha_is_that_of_the_frame_that_it_is_like() -> None:
    color, frame = ColorTags(space=1, range=1), noise("yuva420p", (64, 36))
    made = write_rgb(np.zeros((36, 64, 3), np.float32), frame, color)
    assert bytes(made.planes[3]) == bytes(frame.planes[3])
    assert bytes(made.planes[0]) != bytes(frame.planes[0])
