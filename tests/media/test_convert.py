import numpy as np
import pytest

from farm.media.convert import conversion_for, guessed_space
from farm.media.layout import layout_of
from farm.media.stream import ColorTags


def red_in(pix_fmt: str, color: ColorTags, size: tuple[int, int] = (640, 480)) -> list[int]:
    red = np.full((1, 1, 3), (0, 0, 255), np.uint8)
    convert = conversion_for(layout_of(pix_fmt), color, *size)
    return [int(c[0, 0]) for c in convert.native(red)]


@pytest.mark.parametrize(
    ("pix_fmt", "color", "expected"),
    [
        ("yuv420p", ColorTags(space=1), [63, 102, 240]),
        ("yuv420p", ColorTags(space=6), [81, 90, 240]),
        ("yuv420p", ColorTags(space=9), [74, 97, 240]),
        ("yuv420p10le", ColorTags(space=1), [250, 409, 960]),
        ("yuvj420p", ColorTags(space=5), [76, 85, 255]),
        ("yuv420p", ColorTags(space=5, range=2), [76, 85, 255]),
        ("gbrp10le", ColorTags(), [0, 0, 1023]),
        ("gray", ColorTags(), [76]),
    ],
)
def test_red_becomes_the_values_that_the_standards_give(
    pix_fmt: str, color: ColorTags, expected: list[int]
) -> None:
    assert red_in(pix_fmt, color) == expected


def test_an_untagged_stream_is_bt709_when_it_is_hd_and_bt601_below() -> None:
    assert guessed_space(1280, 536) == guessed_space(720, 720) == 1
    assert guessed_space(720, 576) == 5
    assert red_in("yuv420p", ColorTags(), (1920, 1080)) == [63, 102, 240]
    assert red_in("yuv420p", ColorTags(), (720, 576)) == [81, 90, 240]


def test_limited_gray_is_stretched_to_the_full_scale() -> None:
    convert = conversion_for(layout_of("gray"), ColorTags(range=1), 64, 64)
    luma = np.array([[0, 16, 126, 235, 255]], np.uint8)
    assert convert.gray([luma]).tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuvj444p", "yuv444p10le", "yuv444p16le", "gbrp"])
@pytest.mark.parametrize("space", [1, 5, 7, 8, 9])
def test_every_colour_comes_back_within_two_levels(pix_fmt: str, space: int) -> None:
    levels = np.array([0, 1, 37, 80, 128, 191, 254, 255], np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(32, 16, 3)
    convert = conversion_for(layout_of(pix_fmt), ColorTags(space=space), 64, 64)
    back = convert.bgr(list(convert.native(grid)))
    assert int(np.abs(back.astype(int) - grid).max()) <= 2
