"""Seeing on a frame that a device reads, averages and puts back as memory does.

Not for: whether the decoder's frames are right (`farm.media.hardware_decode` compares them).
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from farm.media.frame_device import FrameDevice
from farm.media.planes import component_view, in_size
from farm.media.signature import component_signatures, picture_md5

_SHRINKS = (2, 3)


def prove(device: FrameDevice, frame: VideoFrame, picture: VideoFrame) -> None:
    """Look at a frame in every way that there is, and change it: it shows nothing true afterwards.

    Args:
        device: Where it lies.
        frame: The frame.
        picture: The same in memory, in the stream's format.

    Raises:
        DeviceError: Something is not as in memory.
    """
    if device.signatures(frame) != component_signatures(picture):
        raise device.give_up("samples are not those of the frame")
    width, height = device.size
    for shrink in _SHRINKS:
        size = (max(1, width // shrink), max(1, height // shrink))
        for index, small in enumerate(device.averaged(frame, size, 3)):
            if not np.array_equal(
                in_size(small, size), in_size(component_view(picture, index), size)
            ):
                raise device.give_up("averages are not those of the processor")
    left, top = width // 4 * 2, height // 4 * 2
    box = (left, top, min(width, left + 16), min(height, top + 16))
    patches = [samples ^ 1 for samples in device.read(frame, box)]
    device.put(frame, box, patches)
    for index, patch in enumerate(patches):
        step = 1 if index == 0 else 2
        rows = slice(top // step, top // step + patch.shape[0])
        component_view(picture, index)[rows, left // step : left // step + patch.shape[1]] = patch
    if picture_md5(device.brought(frame)) != picture_md5(picture):
        raise device.give_up("what is put into a frame is not what it shows then")
