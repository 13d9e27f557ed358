"""What flickers is measured, and what merely moves is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from farm.faces.flicker import ChunkFlicker, FlickerMeter, report_of
from farm.processors.base import FaceFrame
from farm.report import FlickerReport
from tests.faces.pictures import face_at, frame_of, portrait

FRAMES = 32
Change = Callable[[int, np.ndarray], np.ndarray]


def moving_face(number: int) -> FaceFrame:
    """A portrait that wanders, grows and gets darker over the frames."""
    shift = np.array([[0.7, 0.0, 2.0 * number - 60], [0.0, 0.7, 10 * np.sin(number / 5)]])
    shift[:, :2] *= 1 + number / 80
    picture = cv2.warpAffine(portrait(), shift, (240, 200), borderMode=cv2.BORDER_REFLECT)
    lit = np.clip(picture * (1 - number / 200), 0, 255).astype(np.uint8)
    corners = np.array([[181, 56], [271, 178]]) @ shift[:, :2].T + shift[:, 2]
    box = (*corners[0].tolist(), *corners[1].tolist())
    faces = (face_at(box),)
    return FaceFrame(frame=frame_of(lit, "yuv420p"), faces=faces, selected=faces)


def measured(change: Change, start: int = 0, stop: int = FRAMES) -> ChunkFlicker:
    meter = FlickerMeter(start, stop)
    for number in range(max(0, start - 1), min(FRAMES, stop + 1)):
        if number % 8 > 1 and number not in (start - 1, start, stop - 1, stop):
            continue  # nobody looks there
        item = moving_face(number)
        meter.before([number], [item])
        whole = item.frame.to_bgr()
        new = np.clip(np.rint(change(number, whole.astype(np.float64))), 0, 255).astype(np.uint8)
        box = (0, 0, item.frame.width, item.frame.height)
        item.frame.write_bgr(new, np.ones(new.shape[:2], np.float32), box)
        meter.after([number], [item])
    return meter.result()


def level(change: Change) -> float:
    report = report_of([measured(change)])
    assert report is not None
    assert report.inside_pairs == FRAMES // 8
    return report.inside


def test_what_moves_and_is_left_alone_does_not_flicker() -> None:
    assert level(lambda _number, picture: picture) < 0.5


def test_a_steady_change_of_a_moving_face_hardly_flickers() -> None:
    assert level(lambda _number, picture: picture * 0.8 + 20) < 1.0


@pytest.mark.parametrize("levels", [4, 16])
def test_brightness_that_jumps_is_measured_in_levels(levels: int) -> None:
    found = level(lambda number, picture: picture * 0.5 + 60 + levels * (number % 2))
    assert found == pytest.approx(levels, abs=1.2)


def test_a_face_that_trembles_flickers() -> None:
    def tremble(number: int, picture: np.ndarray) -> np.ndarray:
        return np.roll(picture, 3 * (number % 2), axis=1)

    assert level(tremble) > 4 * level(lambda _number, picture: np.roll(picture, 3, axis=1))


def in_chunks(change: Change, cuts: tuple[int, ...]) -> FlickerReport:
    ends = (0, *cuts, FRAMES)
    chunks = [measured(change, a, b) for a, b in pairwise(ends)]
    report = report_of(chunks)
    assert report is not None
    assert report.border_pairs == len(cuts)
    return report


def test_chunks_that_look_alike_do_not_flicker_at_their_borders() -> None:
    report = in_chunks(lambda _number, picture: picture * 0.8 + 20, (7, 13, 20))
    assert report.borders < 1.0
    assert not report.raised


def test_chunks_that_differ_flicker_at_their_borders_only() -> None:
    report = in_chunks(lambda number, picture: picture * 0.8 + 5 + 8 * (number // 10), (10, 20, 30))
    assert report.borders == pytest.approx(8, abs=1.5)
    assert report.inside < 1.0
    assert report.raised


def test_the_order_in_which_batches_are_done_does_not_matter() -> None:
    totals = []
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        meter, items = FlickerMeter(0, 4), [moving_face(number) for number in range(4)]
        for number in order:
            meter.before([number], [items[number]])
        for number in reversed(order):
            meter.after([number], [items[number]])
        totals.append(meter.result().pairs)
    assert totals == [1, 1]


def test_of_two_fields_the_first_is_looked_at() -> None:
    meter = FlickerMeter(0, 2)
    for number in range(2):
        items = [moving_face(number), moving_face(number)]
        meter.before([number] * 2, items)
        meter.after([number] * 2, items)
    assert meter.result().pairs == 1


def test_faces_that_are_nowhere_near_are_not_compared() -> None:
    meter = FlickerMeter(0, 2)
    for number, left in enumerate((20, 300)):
        faces = (face_at((left, 20, left + 60, 80)),)
        frame = frame_of(np.full((200, 400, 3), 90, np.uint8))
        item = FaceFrame(frame=frame, faces=faces, selected=faces)
        meter.before([number], [item])
        meter.after([number], [item])
    assert meter.result().pairs == 0


def test_frames_without_faces_and_chunks_apart_say_nothing() -> None:
    assert report_of([ChunkFlicker(), ChunkFlicker()]) is None
    apart = [measured(lambda _n, picture: picture, 0, 6), measured(lambda _n, p: p, 10, 16)]
    report = report_of(apart)
    assert report is not None
    assert report.border_pairs == 0
