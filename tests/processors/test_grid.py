import numpy as np
import pytest

from farm.paste_settings import SwapSize
from farm.processors.grid import join, mix_for, put_together, split, tiles_of


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_joining_undoes_splitting(parts: int) -> None:
    crop = np.random.default_rng(parts).integers(0, 256, (parts * 8, parts * 8, 3), np.uint8)
    tiles = split(crop, parts)
    assert tiles.shape == (parts * parts, 8, 8, 3)
    assert np.array_equal(join(tiles, parts), crop)


def test_each_tile_holds_every_nth_pixel() -> None:
    crop = np.arange(16 * 3).reshape(4, 4, 3)
    assert np.array_equal(split(crop, 2)[1], crop[0::2, 1::2])
    assert np.array_equal(split(crop, 2)[2], crop[1::2, 0::2])


@pytest.mark.parametrize(
    ("size", "network_px", "parts"),
    [("128", 128, 1), ("256", 128, 2), ("512", 128, 4), ("512", 256, 2), ("128", 256, 1)],
)
def test_a_stated_size_is_taken_for_every_face(size: str, network_px: int, parts: int) -> None:
    for side_px in (20.0, 2000.0):
        assert mix_for(SwapSize(size), network_px, side_px) == ((parts, 1.0),)


def test_the_automatic_size_follows_the_face_without_a_jump() -> None:
    def fineness(side_px: float) -> float:
        mix = mix_for(SwapSize.AUTO, 128, side_px)
        assert sum(weight for _parts, weight in mix) == pytest.approx(1)
        return sum(parts * weight for parts, weight in mix)

    sides = np.arange(50, 700, 1.0)
    values = np.array([fineness(float(side)) for side in sides])
    assert values[0] == 1
    assert values[-1] == 4
    assert (np.diff(values) >= 0).all()
    assert np.diff(values).max() < 0.05


def test_a_mix_is_the_weighted_mean_of_its_results() -> None:
    crop = np.full((256, 256, 3), 100, np.uint8)
    mix = ((1, 0.25), (2, 0.75))
    tiles = tiles_of(crop, mix, 128)
    assert [len(each) for each in tiles] == [1, 4]
    results = [
        np.full(each.shape, value, np.float32) for each, value in zip(tiles, (40, 80), strict=True)
    ]
    assert np.allclose(put_together(results, mix, 256), 70)
