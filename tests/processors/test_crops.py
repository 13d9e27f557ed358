import numpy as np
import pytest

from farm.errors import ModelError
from farm.processors.crops import from_network, to_network


@pytest.mark.parametrize(("mean", "divisor"), [(0.0, 255.0), (127.5, 127.5)])
def test_every_value_survives_the_way_to_a_network_and_back(mean: float, divisor: float) -> None:
    pixels = np.arange(768, dtype=np.uint16).astype(np.uint8).reshape(1, 16, 16, 3)
    rgb = to_network(pixels, mean, divisor)
    assert rgb.flags.c_contiguous
    assert rgb[0, 0, 0, 0] == pytest.approx((2 - mean) / divisor)
    assert np.array_equal(from_network(rgb, mean, divisor, "test"), pixels)


def test_values_out_of_range_are_clipped_and_no_numbers_refused() -> None:
    rgb = np.array([-9.0, 0.5, 9.0], np.float32).reshape(1, 3, 1, 1)
    assert from_network(rgb, 0, 255, "test").ravel().tolist() == [255, 127.5, 0]
    rgb[0, 0] = np.nan
    with pytest.raises(ModelError, match="no numbers"):
        from_network(rgb, 0, 255, "test")


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 1, 8, 8), (1, 3, 8, 4)])
def test_what_is_no_square_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="square RGB pictures"):
        from_network(np.zeros(shape, np.float32), 0, 255, "test")
