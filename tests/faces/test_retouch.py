import cv2
import numpy as np
import pytest

from farm.faces.masks import shape_mask
from farm.faces.retouch import match_colours, sharpen
from farm.paste_settings import FaceMask
from tests.faces.pictures import portrait

MASK = shape_mask(FaceMask.ELLIPSE, 0.15)


def _face(size_px: int = 128) -> np.ndarray:
    crop = portrait()[40:200, 150:310]
    return np.asarray(cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("size_px", [128, 256])
def test_colours_are_those_of_the_target_under_the_mask(size_px: int) -> None:
    old = _face(size_px)
    cold = np.clip(old.astype(np.float32) * (1.2, 0.9, 0.6) * 0.7 + 20, 0, 255).astype(np.float32)
    before, after = cold, match_colours(cold, old, MASK)
    weights = cv2.resize(MASK, (size_px, size_px))[..., None]

    def far(pixels: np.ndarray) -> float:
        return float((np.abs(pixels - old.astype(np.float32)) * weights).sum() / weights.sum())

    assert far(after) < far(before) / 5
    assert after.dtype == np.float32


def test_equal_colours_stay() -> None:
    old = _face().astype(np.float32)
    assert np.abs(match_colours(old, old, MASK) - old).max() < 0.6


def test_a_flat_replacement_is_not_blown_up() -> None:
    old = _face()
    flat = np.full((128, 128, 3), 120, np.float32)
    flat[::2] += 0.5
    assert match_colours(flat, old, MASK)[30:90, 30:90].std(axis=(0, 1)).max() < 2


def test_without_a_mask_nothing_is_matched() -> None:
    new = np.full((128, 128, 3), 50, np.float32)
    assert match_colours(new, _face(), np.zeros_like(MASK)) is new


def test_sharpening_enlarges_steps_and_keeps_what_is_flat() -> None:
    step = np.full((128, 128, 3), 100, np.float32)
    step[:, 64:] = 150
    sharp = sharpen(step, 1.0)
    assert sharp[64, 63, 0] < 95
    assert sharp[64, 64, 0] > 155
    assert np.abs(sharp[:, :40] - 100).max() < 0.01
    assert sharpen(step, 0.0) is step


def test_sharpened_values_stay_in_range() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.float32)
    sharp = sharpen(noise, 2.0)
    assert (sharp.min(), sharp.max()) == (0, 255)
