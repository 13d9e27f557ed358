import av
import numpy as np
import pytest

from tests.stamps import read_stamp, read_stamp_gray, stamped_picture


@pytest.mark.parametrize("number", [0, 1, 341, 682, 1000, 1023])
@pytest.mark.parametrize("size", [(160, 96), (161, 97), (64, 36), (1920, 1080), (20, 12)])
def test_every_number_is_read_back_at_every_size(number: int, size: tuple[int, int]) -> None:
    frame = av.VideoFrame.from_ndarray(stamped_picture(number, *size), format="rgb24")
    assert read_stamp(frame) == number


def test_noise_and_weak_contrast_do_not_change_the_number() -> None:
    gray = stamped_picture(725, 160, 96).mean(axis=2)
    noise = np.random.default_rng(0).normal(0, 40, gray.shape)
    assert read_stamp_gray(np.clip(gray * 0.5 + 60 + noise, 0, 255).astype(np.uint8)) == 725


def test_a_picture_without_a_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="bit 0"):
        read_stamp_gray(np.full((96, 160), 128, np.uint8))
