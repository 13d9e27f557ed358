"""Padding and tiling: the picture comes back whole."""

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.tiles import tiled


def picture(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((height, width, 6), np.float32)


@pytest.mark.parametrize("size", [(96, 160), (97, 33), (1, 1), (720, 1280)])
def test_a_small_picture_goes_through_in_one_piece_padded(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def work(part: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(part.shape)
        return part[..., :3]

    whole = picture(*size)
    assert np.array_equal(tiled(whole, work, 32), whole[..., :3])
    assert len(seen) == 1
    assert all(side % 32 == 0 for side in seen[0][:2])


@pytest.mark.parametrize("size", [(1100, 300), (300, 1500), (1500, 2100)])
def test_a_large_picture_goes_through_in_tiles_that_show_no_seam(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def work(part: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(part.shape)
        return part[..., :3]

    whole = picture(*size)
    assert np.allclose(tiled(whole, work, 32, most_px=1 << 18), whole[..., :3], atol=1e-5)
    assert len(seen) > 1
    assert len({each[:2] for each in seen}) == 1
    assert all(side % 32 == 0 for side in seen[0][:2])


@pytest.mark.parametrize("size", [(64, 64), (100, 50), (200, 333)])
def test_a_network_of_a_fixed_size_gets_that_size(size: tuple[int, int]) -> None:
    def work(part: NDArray[np.float32]) -> NDArray[np.float32]:
        assert part.shape == (64, 96, 6)
        return part

    whole = picture(*size)
    assert np.allclose(tiled(whole, work, 32, (64, 96)), whole, atol=1e-5)
