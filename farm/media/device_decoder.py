"""A decoder on a device, whose frames are brought to memory or stay where it put them.

Not for: whether it is to be believed (`farm.media.hardware_decode`).
"""

from __future__ import annotations

from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.frame import VideoFrame

from farm.media.device_runs import DeviceError
from farm.media.frame_device import LAYOUTS, FrameDevice
from farm.media.open_decoder import set_parameters
from farm.media.reasons import reason_of
from farm.media.stream import StreamParameters

_OWN_DECODERS = frozenset({"qsv"})
"""Devices whose decoders have names of their own (`h264_qsv`)."""
_SOFTWARE_NAMES = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9", "libaom-av1": "av1"}
"""Codec of software decoders that are not called by it."""


class DeviceDecoder:
    """Turns packets into frames of the stream's format in memory, or on the device."""

    def __init__(
        self, stream: StreamParameters, device: str, stays: FrameDevice | None = None
    ) -> None:
        """Open it.

        Args:
            stream: Its parameters.
            device: What PyAV calls it.
            stays: Where frames stay; None brings them to memory.

        Raises:
            DeviceError: There is no such device here, or it does not decode this codec.
        """
        self._stream, self.name, self.stays = stream, device, stays
        codec = _SOFTWARE_NAMES.get(stream.codec, stream.codec)
        name = f"{codec}_{device}" if device in _OWN_DECODERS else codec
        try:
            context = _created(name, device) if stays is None else _created_around(name, stays)
        except (av.FFmpegError, ValueError) as error:
            raise DeviceError(f"{device} is not here ({reason_of(error)})") from error
        if not context.is_hwaccel:
            raise DeviceError(f"{device} does not decode {codec} by the installed libraries")
        set_parameters(context, stream, threads=1)
        self._context = context

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """Feed a packet, or drain.

        Raises:
            DeviceError: The device failed, or gives another kind of picture.
        """
        try:
            frames = self._context.decode(packet)
            return [self._plain(frame) if self.stays is None else frame for frame in frames]
        except (av.FFmpegError, ValueError) as error:
            raise DeviceError(f"{self.name} failed ({reason_of(error)})") from error

    def in_memory(self, frame: VideoFrame) -> VideoFrame:
        """The frame in memory, in the stream's format.

        Raises:
            DeviceError: The frame is not as frames that stay are, or the device failed.
        """
        if self.stays is None:
            return frame
        sizes = (frame.width, frame.height), (self._stream.width, self._stream.height)
        layout = (frame.sw_format or frame.format).name
        if sizes[0] != sizes[1] or layout != LAYOUTS[self._stream.pix_fmt]:
            raise DeviceError(f"{self.name} gives {layout} of {frame.width}x{frame.height}")
        return self.stays.brought(frame)

    def _plain(self, frame: VideoFrame) -> VideoFrame:
        """The frame in the stream's format: the same samples, laid out in another way."""
        wanted = self._stream.pix_fmt
        if frame.format.name == wanted:
            return frame
        either: Any = {"src_color_range": 1, "dst_color_range": 1}
        either |= {"src_colorspace": 5, "dst_colorspace": 5}
        color_range = frame.color_range
        plain = frame.reformat(format=wanted, threads=1, **either)
        plain.color_range = color_range
        return plain


def _created(decoder: str, device: str) -> Any:
    """A codec context on a device."""
    accelerator = HWAccel(device, allow_software_fallback=False)
    return av.CodecContext.create(decoder, "r", hwaccel=accelerator)


def _created_around(decoder: str, stays: FrameDevice) -> Any:
    """A codec context whose frames stay, in the CUDA context that onnxruntime works in.

    That is the device's primary one. It cannot be asked for by that name, since libavutil refuses
    a primary context that is there already with other flags; so it is taken as the one of this
    thread, which onnxruntime has just made it.
    """
    stays.warm_up()
    accelerator = HWAccel(
        "cuda",
        device=str(stays.device_id),
        allow_software_fallback=False,
        options={"primary_ctx": "0", "current_ctx": "1"},
        is_hw_owned=True,
    )
    return av.CodecContext.create(decoder, "r", hwaccel=accelerator)
