#!/usr/bin/env python3
"""Measure what taking a face out of a 1080p frame and pasting it back costs, without any network.

Run it with the Python of the environment: .venv/bin/python bench/paste.py [--runs 40]
Processor time of one thread is counted, so that other work on the machine disturbs little.
Not for: networks (`facefarm bench`) or testing (nothing is asserted).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from farm.faces.align import arcface_template, ffhq_template
from farm.faces.face import Face
from farm.faces.masks import shape_mask
from farm.faces.paste import Crop, paste_crop, take_crop
from farm.faces.retouch import match_colours, sharpen
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from farm.paste_settings import FaceMask

_SHARES = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
_SIZES = ((100, 140), (270, 395), (540, 790))
_NETWORKS = {"swap, 128": (arcface_template(128), 128), "enhance, 512": (ffhq_template(512), 512)}
_MASK = shape_mask(FaceMask.ELLIPSE, 0.15)


def main() -> None:
    """Measure every format, size of face and kind of crop, and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=40)
    runs = options.parse_args().runs
    cv2.setNumThreads(1)
    _say("| format | face, px | crop | take, ms | paste, ms | colours, ms | sharpen, ms |")
    _say("|---|---|---|---|---|---|---|")
    for pix_fmt in ("yuv420p", "yuv420p10le", "bgr24"):
        frame = _frame(pix_fmt)
        for size in _SIZES:
            for name, (template, side) in _NETWORKS.items():
                row = _measure(frame, _face(*size), template, side, runs)
                cells = " | ".join(f"{seconds * 1e3:.2f}" for seconds in row)
                _say(f"| {pix_fmt} | {size[0]}x{size[1]} | {name} | {cells} |")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _measure(
    frame: EditableFrame, face: Face, template: NDArray[np.float64], side: int, runs: int
) -> list[float]:
    """Median seconds of taking, pasting, matching colours and sharpening."""
    crop = _taken(frame, face, template, side)
    new = crop.pixels_bgr.astype(np.float32)
    work: tuple[Callable[[], object], ...] = (
        lambda: _taken(frame, face, template, side),
        lambda: paste_crop(frame, crop, new, _MASK),
        lambda: match_colours(new, crop.pixels_bgr, _MASK),
        lambda: sharpen(new, 1.0),
    )
    return [_median_s(each, runs) for each in work]


def _taken(frame: EditableFrame, face: Face, template: NDArray[np.float64], side: int) -> Crop:
    crop = take_crop(frame, face, template, side)
    assert crop is not None
    return crop


def _median_s(work: Callable[[], object], runs: int) -> float:
    taken = []
    for number in range(runs + 1):
        began_s = time.thread_time()
        work()
        if number:  # the first run also allocates
            taken.append(time.thread_time() - began_s)
    return statistics.median(taken)


def _face(width: int, height: int) -> Face:
    corner = np.array([600, 150])
    points = corner + _SHARES * (width, height)
    box = np.array([*corner, *(corner + np.array([width, height]))])
    return Face(box_xyxy=box.astype(np.float32), score=1.0, landmarks_xy=points.astype(np.float32))


def _frame(pix_fmt: str) -> EditableFrame:
    noise = np.random.default_rng(0).integers(0, 256, (108, 192, 3), np.uint8)
    picture = np.asarray(cv2.resize(noise, (1920, 1080)), np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=pix_fmt)
    return EditableFrame(frame, color=ColorTags())


if __name__ == "__main__":
    main()
