"""Cuts between neighbouring frames, and what looks a little like one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.scene import is_cut
from tests.stamps import stamped_picture


def picture(seed: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
    """Large blocks of random colour."""
    blocks = np.random.default_rng(seed).random((6, 8, 3), np.float32) * (high - low) + low
    return np.kron(blocks, np.ones((30, 40, 1))).astype(np.float32)


def test_another_picture_is_a_cut() -> None:
    assert is_cut(picture(0), picture(1))
    assert is_cut(picture(0, 0.0, 0.3), picture(1, 0.6, 0.9))
    assert is_cut(picture(0, 0.1, 0.2), picture(1, 0.2, 0.3))


@pytest.mark.parametrize("shift", [(0, 0), (4, 0), (0, 12), (9, 9)])
def test_motion_is_none(shift: tuple[int, int]) -> None:
    moved = np.roll(picture(0), shift, axis=(0, 1))
    assert not is_cut(picture(0), moved)
    one, two = (np.asarray(stamped_picture(n, 160, 96), np.float32) for n in (6, 7))
    assert not is_cut(one / np.float32(255), two / np.float32(255))


def test_light_that_changes_a_little_is_none() -> None:
    dark, light = np.float32(0.8), np.float32(0.86)
    assert not is_cut(picture(0) * dark, picture(0) * light)
