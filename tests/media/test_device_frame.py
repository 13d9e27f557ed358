"""Frames that stay on a device, which is played by memory: all but the kind of device is the same.

A "device" frame here is one of NV12 or P010 in memory, and the graphs run on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.media.device_frame import DeviceFrame
from farm.media.device_proof import prove
from farm.media.device_runs import DeviceError
from farm.media.frame import EditableFrame
from farm.media.frame_device import LAYOUTS, FrameDevice
from farm.media.reference import second_reference
from farm.media.signature import component_signatures, picture_md5
from tests.media.test_frame import COLOR, noise_frame
from tests.media.test_warped_frame import SIDE, part_at, round_mask

SIZE = (642, 362)
FORMATS = ["yuv420p", "yuv420p10le"]
WHOLE_BYTES = SIZE[0] * SIZE[1] * 3 // 2
TURNS = [(0, False), (90, False), (180, True), (270, True)]


class Twins:
    """The same picture on a device and in memory."""

    def __init__(
        self, pix_fmt: str, rotation: int = 0, flipped: bool = False, size: tuple[int, int] = SIZE
    ) -> None:
        picture = noise_frame(pix_fmt, 3, *size)
        self.there = picture.reformat(format=LAYOUTS[pix_fmt], threads=1)
        self.device = FrameDevice(pix_fmt, size, provider="cpu", frame_format=LAYOUTS[pix_fmt])
        turn: dict[str, Any] = {"rotation": rotation, "flipped": flipped, "color": COLOR}
        self.staying = DeviceFrame(self.there, self.device, **turn)
        self.memory = EditableFrame(picture, **turn)

    def both(self, look: Callable[[EditableFrame], Any]) -> None:
        """Do the same with both, and see that it gives the same."""
        assert np.array_equal(look(self.staying), look(self.memory))

    def agree(self) -> None:
        """See that both are the same pictures after all that was done."""
        due = picture_md5(self.memory.video_frame)
        assert picture_md5(self.device.brought(self.staying.on_device())) == due
        assert picture_md5(self.staying.video_frame) == due
        assert self.staying.touched == self.memory.touched


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def edit(frame: EditableFrame) -> None:
    """Two faces near each other, one at the border, one far away; odd places and sizes."""
    for number, (left, top) in enumerate([(31, 40), (93, 71), (-20, 201), (301, 251)]):
        frame.write_bgr(
            noise(number, 61, 53, 3), noise(9 + number, 61, 53), (left, top, left + 53, top + 61)
        )
    frame.write_warped(noise(20, SIDE, SIDE, 3), round_mask(0.9), part_at(200.5, 141.0, 0.7))


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("rotation", "flipped"), TURNS)
def test_edits_give_the_bits_of_memory(pix_fmt: str, rotation: int, flipped: bool) -> None:
    twins = Twins(pix_fmt, rotation, flipped)
    for frame in (twins.staying, twins.memory):
        edit(frame)
    twins.agree()


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("rotation", "flipped"), TURNS)
def test_what_is_read_has_the_bits_of_memory(pix_fmt: str, rotation: int, flipped: bool) -> None:
    twins = Twins(pix_fmt, rotation, flipped)
    twins.both(lambda frame: frame.read_bgr((101, 33, 164, 90))[0])
    twins.both(lambda frame: frame.read_warped(part_at(60.0, 250.0, 0.2), SIDE))
    twins.both(lambda frame: frame.read_warped(part_at(2.0, 99.0), SIDE, black_outside=True))
    edit(twins.staying)
    edit(twins.memory)
    twins.both(lambda frame: frame.read_bgr((40, 50, 130, 120))[0])


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [SIZE, (1280, 720), (960, 540), (400, 300)])
@pytest.mark.parametrize("side_px", [None, 640, 320, 150])
def test_whole_pictures_have_the_bits_of_memory(
    pix_fmt: str, size: tuple[int, int], side_px: int | None
) -> None:
    twins = Twins(pix_fmt, size=size)
    twins.both(lambda frame: frame.to_bgr(side_px))
    edit(twins.staying)
    edit(twins.memory)
    twins.both(lambda frame: frame.to_bgr(side_px))
    twins.both(lambda frame: frame.read_luma(side_px))


def test_a_frame_with_a_small_face_does_not_travel() -> None:
    twins = Twins("yuv420p", size=(1920, 1080))
    twins.staying.to_bgr(640)
    averages = twins.device.read_bytes
    assert averages == 3 * 640 * 360
    crop = part_at(700.0, 400.0)
    twins.staying.read_warped(crop, SIDE)
    twins.staying.write_warped(noise(1, SIDE, SIDE, 3), round_mask(), crop)
    twins.staying.on_device()
    tiles = 4 * 4 * 64 * 64 * 3 // 2
    assert 0 < twins.device.read_bytes - averages <= tiles
    assert 0 < twins.device.put_bytes <= tiles
    assert twins.device.whole_frames == 0


def test_a_frame_that_nobody_looks_at_is_given_on_as_it_came() -> None:
    twins = Twins("yuv420p")
    before = picture_md5(twins.there)
    address = twins.there.planes[0].buffer_ptr
    given = twins.staying.on_device()
    assert given is twins.there
    assert given.planes[0].buffer_ptr == address
    assert picture_md5(given) == before
    assert (twins.device.read_bytes, twins.device.put_bytes) == (0, 0)


def test_what_was_put_back_does_not_travel_again() -> None:
    twins = Twins("yuv420p")
    edit(twins.staying)
    twins.staying.on_device()
    put = twins.device.put_bytes
    twins.staying.on_device()
    assert twins.device.put_bytes == put < WHOLE_BYTES


def test_a_frame_that_somebody_else_holds_is_not_changed_for_them() -> None:
    twins = Twins("yuv420p")
    held = second_reference(twins.there)
    before = picture_md5(held)
    edit(twins.staying)
    assert picture_md5(twins.staying.on_device()) != before
    assert picture_md5(held) == before


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_black_frame_is_black_on_the_device(pix_fmt: str) -> None:
    twins = Twins(pix_fmt)
    twins.staying.fill_black()
    twins.memory.fill_black()
    twins.agree()
    assert twins.device.whole_frames == 1  # only `agree` asked for it


def test_a_copy_is_in_memory_and_has_a_life_of_its_own() -> None:
    twins = Twins("yuv420p")
    edit(twins.staying)
    copy = twins.staying.copied()
    edit(twins.memory)
    assert picture_md5(copy.video_frame) == picture_md5(twins.memory.video_frame)
    twins.staying.fill_black()
    assert picture_md5(copy.video_frame) == picture_md5(twins.memory.video_frame)
    assert not isinstance(copy, DeviceFrame)


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_signatures_are_those_of_memory(pix_fmt: str) -> None:
    twins = Twins(pix_fmt)
    assert twins.device.signatures(twins.there) == component_signatures(twins.memory.video_frame)


def test_a_device_that_fails_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    twins = Twins("yuv420p")
    elsewhere = DeviceFrame(
        twins.there,
        FrameDevice("yuv420p", SIZE, provider="cpu", device_id=1, frame_format="nv12"),
        color=COLOR,
    )
    for _ in range(2):
        with pytest.raises(DeviceError, match="lies on device"):
            elsewhere.read_bgr((0, 0, 8, 8))
    assert not elsewhere.stays.alive
    assert caplog.text.count("they are brought to memory from now on") == 1


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_proof_holds_for_what_works(pix_fmt: str) -> None:
    twins = Twins(pix_fmt)
    prove(twins.device, twins.there, twins.device.brought(twins.there))
    assert twins.device.alive


@pytest.mark.parametrize("method", ["signatures", "averaged", "put"])
def test_a_proof_finds_what_does_not_work(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    twins = Twins("yuv420p")
    other = noise_frame("nv12", 8, *SIZE)
    right = getattr(twins.device, method)
    monkeypatch.setattr(twins.device, method, lambda _, *rest: right(other, *rest))
    with pytest.raises(DeviceError):
        prove(twins.device, twins.there, twins.device.brought(twins.there))
    assert not twins.device.alive


def test_frames_in_memory_are_told_from_those_on_the_device() -> None:
    twins = Twins("yuv420p")
    assert twins.device.holds(twins.there)
    assert not twins.device.holds(av.VideoFrame(*SIZE, "yuv420p"))
