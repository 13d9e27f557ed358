"""Whether the frames of a job stay on the device from decoder to encoder.

One decision for a worker, when it starts: NVDEC decodes, onnxruntime works on the same device, and
NVENC takes what lies there. Otherwise frames go through memory, and the worker says why.
Not for: how they stay (`farm.media.frame_device`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from farm.chunk_task import RenderSetup
from farm.media.device_runs import DeviceError
from farm.media.frame_device import LAYOUTS, FrameDevice
from farm.processors.registry import frame_maker
from farm.settings import HardwareDecode

log = logging.getLogger(__name__)

_DECODERS = frozenset({HardwareDecode.CUDA, HardwareDecode.AUTO})
_PROVIDERS = frozenset({"cuda", "tensorrt"})
_PROGRESSIVE = 1
_TAKEN = {
    "nv12": frozenset({"yuv420p", "nv12"}),
    "p010le": frozenset({"p010le"}),
}
"""Layout on the device to the formats of an encoder for which that layout is taken as well."""


def why_in_memory(setup: RenderSetup) -> str:
    """Why frames go through memory; empty where they may stay on the device."""
    stream = setup.stream
    layout = LAYOUTS.get(stream.pix_fmt)
    reasons = {
        "that was asked for": not setup.frames_stay,
        "no NVDEC was asked for": setup.hardware_decode not in _DECODERS,
        f"{setup.faces.provider} does not work there": setup.faces.provider not in _PROVIDERS,
        f"{setup.encoder.encoder} is not NVENC": setup.encoder.family != "nvenc",
        f"{stream.pix_fmt} is neither NV12 nor P010 there": layout is None,
        f"the encoder is given {setup.encoder.pix_fmt}": layout is not None
        and setup.encoder.pix_fmt not in _TAKEN[layout],
        "the sides are odd": bool(stream.width % 2 or stream.height % 2),
        "the source is interlaced": stream.field_order > _PROGRESSIVE,
        "frames get another shape": not setup.reshape.idle,
        "processed frames are kept": setup.frames_dir is not None,
        "nothing is encoded": setup.analyse,
    }
    for reason, is_so in reasons.items():
        if is_so:
            return reason
    # Last, since it loads the processors.
    between = frame_maker(setup.faces.settings.names) is not None
    return "frames are made between frames" if between else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePlace:
    """Where the frames of a worker are between decoder and encoder."""

    device: FrameDevice | None = None
    """Where they stay, once NVDEC has proven itself; None for memory."""
    why_in_memory: str = ""
    """Empty where they may stay."""


def frame_place(setup: RenderSetup) -> FramePlace:
    """Decide where frames are, and say it in the worker's log."""
    reason = why_in_memory(setup)
    if not reason:
        try:
            place = FramePlace(device=_opened(setup))
        except DeviceError as error:
            log.warning("frames: in memory (%s)", error.message)
            return FramePlace(why_in_memory=error.message)
        log.info("frames: on the device, once NVDEC has proven itself")
        return place
    asked = setup.hardware_decode in _DECODERS
    log.log(logging.INFO if asked else logging.DEBUG, "frames: in memory (%s)", reason)
    return FramePlace(why_in_memory=reason)


def _opened(setup: RenderSetup) -> FrameDevice:
    """The device of the worker's networks, which is the first one that it sees."""
    stream = setup.stream
    return FrameDevice(stream.pix_fmt, (stream.width, stream.height))
