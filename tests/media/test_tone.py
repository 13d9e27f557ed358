from __future__ import annotations

import av
import numpy as np
import pytest

from farm.media.frame import EditableFrame
from farm.media.planes import plane_lines
from farm.media.stream import ColorTags
from farm.media.tone import HLG, PQ, tone_map

BT2020 = 9
HDR = [
    ColorTags(range=1, space=9, primaries=BT2020, trc=PQ),
    ColorTags(range=1, space=9, primaries=BT2020, trc=HLG),
    ColorTags(range=2, space=9, primaries=BT2020, trc=PQ),
]


def gray_frame(level: int, pix_fmt: str = "yuv420p10le") -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, pix_fmt)
    neutral = 512 if "10" in pix_fmt else 2048
    for plane in range(3):
        plane_lines(frame, plane).view(np.uint16)[:] = level if plane == 0 else neutral
    return frame


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_signal_comes_back_through_the_screen(transfer: int) -> None:
    tone = tone_map(transfer, BT2020)
    assert tone is not None
    grays = np.linspace(0.05, 0.7, 200, dtype=np.float32)
    signal = np.repeat(grays[:, None, None], 3, axis=2)
    assert np.abs(tone.to_signal(tone.to_screen(signal)) - signal).max() < 1e-3


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_light_is_brighter_on_the_screen_up_to_the_peak(transfer: int) -> None:
    tone = tone_map(transfer, BT2020)
    assert tone is not None
    grays = np.linspace(0.0, 0.8, 100, dtype=np.float32)
    shown = tone.to_screen_gray(grays[:, None])
    assert (np.diff(shown[:, 0]) > 0).all()
    assert shown.min() == 0
    assert shown.max() <= 1


def test_diffuse_white_of_pq_is_bright_but_leaves_room_for_highlights() -> None:
    tone = tone_map(PQ, BT2020)
    assert tone is not None
    white_203_nits = np.full((1, 1, 3), 0.5807, np.float32)
    assert 0.85 < tone.to_screen(white_203_nits).mean() < 0.97


def test_standard_range_has_no_tone_map() -> None:
    for transfer in (1, 2, 6, 13, 14, 15):
        assert tone_map(transfer, BT2020) is None


@pytest.mark.parametrize("color", HDR)
@pytest.mark.parametrize("level", [200, 300, 400, 500, 600])
def test_a_region_that_a_network_leaves_alone_keeps_its_brightness(
    color: ColorTags, level: int
) -> None:
    edited = EditableFrame(gray_frame(level), color=color)
    region, used = edited.read_bgr((8, 8, 40, 40))
    assert np.ptp(region.reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(region[0, 0]) <= 1  # gray stays gray
    edited.write_bgr(region, np.ones(region.shape[:2], np.float32), used)
    luma = plane_lines(edited.video_frame, 0).view(np.uint16)[20, 20]
    assert abs(int(luma) - level) <= 4  # one step of 8 bits is up to 8 of these 1024
    chroma = plane_lines(edited.video_frame, 1).view(np.uint16)[10, 10]
    assert abs(int(chroma) - 512) <= 3


def test_twelve_bits_are_used_as_such() -> None:
    color = HDR[0]
    edited = EditableFrame(gray_frame(1600, "yuv420p12le"), color=color)
    region, used = edited.read_bgr((8, 8, 40, 40))
    edited.write_bgr(region, np.ones(region.shape[:2], np.float32), used)
    assert abs(int(plane_lines(edited.video_frame, 0).view(np.uint16)[20, 20]) - 1600) <= 16


def test_a_face_is_seen_about_as_bright_as_in_standard_range() -> None:
    """A gray of 40 nits, as skin has it, is a middle gray on a screen with white at 203 nits."""
    nits_40 = 0.4396
    level = round(64 + nits_40 * 876)
    edited = EditableFrame(gray_frame(level), color=HDR[0])
    assert 110 < edited.to_bgr().mean() < 135
    assert 110 < edited.read_luma().mean() < 135
