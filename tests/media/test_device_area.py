"""Area averages of a device against OpenCV's, bit by bit."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.device_area import exact_average

SIZES = [
    ((1920, 1080), (640, 360)),
    ((960, 540), (640, 360)),
    ((1280, 720), (640, 360)),
    ((3840, 2160), (640, 360)),
    ((1440, 1080), (640, 480)),
    ((720, 540), (640, 480)),
    ((240, 180), (80, 90)),
]


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("depth", [8, 10])
def test_averages_are_those_of_opencv(
    before: tuple[int, int], after: tuple[int, int], depth: int
) -> None:
    average = exact_average(before, after, depth)
    assert average is not None
    samples: NDArray[Any] = np.random.default_rng(5).integers(0, 1 << depth, before[::-1])
    samples = samples.astype(np.uint8 if depth == 8 else np.uint16)
    mean = average.weights(1).T @ samples.astype(np.float32) @ average.weights(0) * average.factor
    level = np.floor(mean + np.float32(0.5)) if average.half_up else np.rint(mean)
    due = cv2.resize(samples, after, interpolation=cv2.INTER_AREA)
    assert np.array_equal(level, due)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((640, 360), (640, 360)),  # nothing to average
        ((320, 180), (640, 360)),  # no smaller
        ((1600, 900), (600, 600)),  # 8 to 3: averages may lie between two levels
        ((1001, 999), (640, 639)),  # too many places between two levels
    ],
)
def test_what_may_come_out_otherwise_is_not_averaged(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    assert exact_average(before, after, 8) is None
