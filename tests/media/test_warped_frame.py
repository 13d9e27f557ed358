"""Affine parts of frames: read, and written back where a mask lets them, in every pixel format."""

from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.fields import InterlacedFrame
from farm.media.frame import EditableFrame
from farm.media.layout import ColorModel, layout_of
from farm.media.stream import ColorTags
from farm.media.warp import inverse, resized, then
from tests.media.test_frame import COLOR, FORMATS, copy_planes, covered, noise_frame, samples

SIDE = 64
ANGLE = 0.3
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])


def part_at(x: float, y: float, scale: float = 1.0) -> NDArray[np.float64]:
    """From the picture to a turned part whose middle is at (x, y)."""
    turn = TURN * scale
    middle = np.array([SIDE / 2 - 0.5, SIDE / 2 - 0.5])
    return np.hstack([turn, (middle - turn @ (x, y))[:, None]])


def round_mask(top: float = 1.0) -> NDArray[np.float32]:
    places = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    from_centre = np.hypot.outer(places, places)
    return np.asarray(np.clip((0.48 - from_centre) / 0.1, 0, 1) * top, np.float32)


def smooth_frame(pix_fmt: str, width: int = 200, height: int = 160) -> av.VideoFrame:
    rows, columns = np.indices((height, width))
    bgr = np.stack([columns, rows, (rows + columns) / 2], -1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=pix_fmt)


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("middle", [(60.0, 50.0), (3.0, 98.0), (129.0, 1.0)])
def test_no_byte_changes_where_the_mask_does_not_reach(
    pix_fmt: str, middle: tuple[float, float]
) -> None:
    frame = noise_frame(pix_fmt, 3)
    before = copy_planes(frame)
    matrix = part_at(*middle)
    edited = EditableFrame(frame, color=COLOR)
    region = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    edited.write_warped(region, round_mask(), matrix)
    after = copy_planes(edited.video_frame)
    assert any(not np.array_equal(a, b) for a, b in zip(after, before, strict=True))
    rows, columns = np.indices((frame.height, frame.width))
    places = np.stack([columns, rows], -1) @ matrix[:, :2].T + matrix[:, 2]
    reached = np.hypot(*np.moveaxis(places - SIDE / 2 + 0.5, -1, 0)) < 0.5 * SIDE
    for c in layout_of(pix_fmt).components:
        allowed = covered(reached, c)
        old = samples(before[c.plane], c, frame)
        samples(after[c.plane], c, frame)[allowed] = old[allowed]
    assert all(np.array_equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_full_mask_is_the_new_colour(pix_fmt: str) -> None:
    gray = layout_of(pix_fmt).model is ColorModel.GRAY
    colour = (90, 90, 90) if gray else (40, 110, 200)
    edited = EditableFrame(noise_frame(pix_fmt, 7), color=COLOR)
    edited.write_warped(np.full((SIDE, SIDE, 3), colour, np.uint8), round_mask(), part_at(60, 50))
    region, _box = edited.read_bgr((48, 40, 72, 60))
    assert np.abs(region.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "bgr24", "nv12", "yuv444p10le", "yuv410p"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flipped", [False, True])
def test_parts_are_those_of_the_picture_that_a_player_shows(
    pix_fmt: str, rotation: int, flipped: bool
) -> None:
    edited = EditableFrame(smooth_frame(pix_fmt), rotation=rotation, flipped=flipped, color=COLOR)
    whole = edited.to_bgr().astype(np.float64)
    matrix = part_at(90, 80, scale=0.9)
    part = edited.read_warped(matrix, SIDE)
    back = inverse(matrix)
    for x, y in ((10, 12), (32, 32), (50, 40)):
        at_x, at_y = back[:, :2] @ (x, y) + back[:, 2]
        around = whole[round(at_y) - 1 : round(at_y) + 2, round(at_x) - 1 : round(at_x) + 2]
        assert np.abs(part[y, x] - around.mean((0, 1))).max() <= 6
    edited.write_warped(part, round_mask(), matrix)
    assert np.abs(edited.to_bgr() - whole).max() <= 6


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_parts_come_back_as_they_were_seen(transfer: int) -> None:
    """A part goes through the stream's tone map on the way out and through its inverse back."""
    color = ColorTags(range=1, space=9, primaries=9, trc=transfer)
    edited = EditableFrame(smooth_frame("yuv420p10le"), color=color)
    before = edited.read_bgr((40, 40, 140, 120))[0].astype(int)
    matrix = part_at(90, 80)
    edited.write_warped(edited.read_warped(matrix, SIDE), round_mask(), matrix)
    assert edited.touched
    assert np.abs(edited.read_bgr((40, 40, 140, 120))[0] - before).mean() < 1.5
    edited.write_warped(np.full((SIDE, SIDE, 3), 128, np.float32), round_mask(), matrix)
    assert np.abs(edited.read_bgr((84, 74, 96, 86))[0].astype(int) - 128).max() <= 3


def test_ten_bits_stay_ten_bits() -> None:
    """A ramp of quarter levels survives: nothing goes through eight bits on the way."""
    frame = av.VideoFrame(200, 160, "yuv420p10le")
    for plane in frame.planes:
        plane.update(np.full(plane.buffer_size // 2, 512, np.uint16).tobytes())
    ramp = np.zeros((SIDE, SIDE, 3), np.float32)
    ramp[...] = (100 + np.arange(SIDE) / 8)[None, :, None]
    edited = EditableFrame(frame, color=COLOR)
    wide = then(np.eye(2, 3), resized(0.5, 0.5))
    edited.write_warped(ramp, np.ones((SIDE, SIDE), np.float32), wide)
    luma = np.asarray(memoryview(edited.video_frame.planes[0])).view(np.uint16)
    row = luma.reshape(160, -1)[64, 8:112]
    assert len(np.unique(row)) >= 20
    assert (np.diff(row.astype(int)) >= 0).all()
    assert np.diff(row.astype(int)).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("field", [0, 1])
def test_a_field_is_read_where_it_lies_and_written_to_its_own_lines(
    pix_fmt: str, rotation: int, field: int
) -> None:
    frame = smooth_frame(pix_fmt)
    whole = EditableFrame(smooth_frame(pix_fmt), rotation=rotation, color=COLOR)
    matrix = part_at(90, 80, scale=0.9)
    picture = InterlacedFrame(frame, rotation=rotation, color=COLOR).pictures[field]
    part = picture.read_warped(matrix, SIDE)
    assert np.abs(part.astype(int) - whole.read_warped(matrix, SIDE)).max() <= 6
    before = copy_planes(frame)
    picture.write_warped(np.full((SIDE, SIDE, 3), 220, np.uint8), round_mask(), matrix)
    after = copy_planes(frame)
    for c in layout_of(pix_fmt).components:
        old, new = (samples(planes[c.plane], c, frame) for planes in (before, after))
        assert np.array_equal(new[1 - field :: 2], old[1 - field :: 2])
        assert not np.array_equal(new[field::2], old[field::2])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "bgr24", "gray16le"])
def test_a_mask_of_nothing_writes_nothing(pix_fmt: str) -> None:
    frame = noise_frame(pix_fmt, 9)
    before = copy_planes(frame)
    edited = EditableFrame(frame, color=COLOR)
    new: Any = np.zeros((SIDE, SIDE, 3), np.uint8)
    edited.write_warped(new, round_mask(0.0), part_at(60, 50))
    edited.write_warped(new, round_mask(), part_at(600, 500))
    assert not edited.touched
    assert all(
        np.array_equal(a, b) for a, b in zip(copy_planes(edited.video_frame), before, strict=True)
    )


def test_a_small_part_of_large_pixels_is_averaged_and_not_sampled() -> None:
    rows, columns = np.indices((800, 800))
    checks = ((rows + columns) % 2 * 200).astype(np.uint8)
    edited = EditableFrame(av.VideoFrame.from_ndarray(checks, format="gray"), color=COLOR)
    part = edited.read_warped(part_at(400, 400, scale=0.1), SIDE)
    assert np.abs(part.astype(int) - 100).max() <= 12


def test_outside_the_picture_lies_its_edge_or_black() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((80, 100, 3), 200, np.uint8), format="bgr24")
    edited = EditableFrame(frame.reformat(format="yuv420p"), color=COLOR)
    beyond = part_at(-20, -20)
    assert np.abs(edited.read_warped(beyond, SIDE).astype(int) - 200).max() <= 4
    assert edited.read_warped(beyond, SIDE, black_outside=True)[0, 0].max() <= 1
