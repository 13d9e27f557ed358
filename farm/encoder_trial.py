"""A real trial of an encoder: frames go in, come back decoded, and must look like they did.

An encoder that is listed may still lack its device, driver or library.
Not for: choosing encoders or their options for a render.
"""

from __future__ import annotations

import math
import os
from fractions import Fraction

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

SOFTWARE_CODECS = {
    "libx264": "h264",
    "libx265": "hevc",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "ffv1": "ffv1",
}
"""Codec by software encoder."""
HARDWARE_CODECS = {
    f"{codec}_{family}": codec
    for family in ("nvenc", "amf", "qsv")
    for codec in ("h264", "hevc", "av1")
}
"""Codec by hardware encoder."""
_DECODERS = {"av1": "libdav1d"}
"""Decoder by codec, where it has another name."""
_OPTIONS = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12"},
}
_WIDTH, _HEIGHT, _FRAMES, _FPS = 320, 240, 6, 30
_BIT_RATE = 4_000_000
_LEAST_DB = 30.0


def is_listed(encoder: str) -> bool:
    """Whether the media library was built with this encoder."""
    try:
        av.Codec(encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True


def try_encoder(encoder: str) -> str | None:
    """Why the encoder cannot be used here, None when it can: its pictures decode to over 30 dB."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only; this encoder writes to stderr by itself
    if not is_listed(encoder):
        return "not built into PyAV"
    frames = [_picture(number) for number in range(_FRAMES)]
    try:
        packets, extradata = _encode(encoder, frames)
        decoded = _decode(encoder, packets, extradata)
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return f"does not open or run ({getattr(error, 'strerror', None) or error})"
    if len(decoded) != len(frames):
        return f"{len(decoded)} of {len(frames)} frames came back"
    worst_db = min(_psnr_db(a, b) for a, b in zip(frames, decoded, strict=True))
    return None if worst_db > _LEAST_DB else f"its pictures are wrong ({worst_db:.1f} dB)"


def _picture(number: int) -> NDArray[np.uint8]:
    """A smooth picture that moves, [360, 320] planar yuv420p."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    luma = 128 + 80 * np.sin((x + 4 * number) / 25) * np.cos((y - 2 * number) / 31)
    chroma = np.full((_HEIGHT // 2, _WIDTH), 128.0)
    return np.concatenate([luma, chroma]).astype(np.uint8)


def _encode(
    encoder: str, frames: list[NDArray[np.uint8]]
) -> tuple[list[Packet[VideoStream]], bytes | None]:
    """Packets of the frames, and the header that a decoder needs."""
    context = VideoCodecContext.create(encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, _FPS), Fraction(_FPS)
    context.bit_rate = _BIT_RATE
    context.options = _OPTIONS.get(encoder, {})
    packets: list[Packet[VideoStream]] = []
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return packets, context.extradata


def _decode(
    encoder: str, packets: list[Packet[VideoStream]], extradata: bytes | None
) -> list[NDArray[np.uint8]]:
    """The frames that a software decoder makes of the packets."""
    codec = (SOFTWARE_CODECS | HARDWARE_CODECS)[encoder]
    context = VideoCodecContext.create(_DECODERS.get(codec, codec), "r")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    if extradata:
        context.extradata = extradata
    decoded = [frame for packet in packets for frame in context.decode(packet)]
    decoded += context.decode(None)
    return [np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8) for frame in decoded]


def _psnr_db(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio of two pictures; infinite where they are equal."""
    error = float(np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
