"""The encoders that the farm knows, what each codes, and the ladder from hardware to software.

Not for: whether one works here (`farm.encoder_trial`) or its options (`encoder_options`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError

from farm.names import require_known

SOFTWARE_CODECS = {
    "libx264": "h264",
    "libx265": "hevc",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "ffv1": "ffv1",
}
"""Codec by software encoder; on the command line these names stand for their codec."""
FAMILIES = {
    "h264": ("nvenc", "amf", "qsv", "vaapi", "videotoolbox"),
    "hevc": ("nvenc", "amf", "qsv", "vaapi", "videotoolbox"),
    "av1": ("nvenc", "amf", "qsv", "vaapi"),
    "vp9": ("qsv", "vaapi"),
}
"""Hardware families by codec, the best first."""
HARDWARE_CODECS = {
    f"{codec}_{family}": codec for codec, families in FAMILIES.items() for family in families
}
"""Codec by hardware encoder."""
CODEC_OF = SOFTWARE_CODECS | HARDWARE_CODECS
NO_LOSSLESS = frozenset({"libsvtav1", "amf", "qsv", "vaapi", "videotoolbox"})
"""Encoders and families that have no bit-exact mode."""


def codec_of(encoder: str) -> str:
    """Codec of an encoder that a user named.

    Raises:
        SettingsError: There is no such encoder.
    """
    require_known("--video-encoder", encoder, CODEC_OF)
    return CODEC_OF[encoder]


def hardware_family(encoder: str) -> str | None:
    """Family of a hardware encoder (`nvenc`, `amf` ...), None for software."""
    return encoder.rpartition("_")[2] if encoder in HARDWARE_CODECS else None


def rung_names(video_encoder: str, *, hardware: bool) -> tuple[str, ...]:
    """Encoders that may do what `video_encoder` asks for, the best first.

    Args:
        video_encoder: A software encoder stands for its codec; a hardware encoder for itself.
        hardware: Whether a better one in hardware may take the place of a software encoder.
    """
    if not hardware or video_encoder not in SOFTWARE_CODECS:
        return (video_encoder,)
    codec = SOFTWARE_CODECS[video_encoder]
    return (*(f"{codec}_{family}" for family in FAMILIES.get(codec, ())), video_encoder)


@cache
def is_listed(encoder: str) -> bool:
    """Whether the installed PyAV was built with this encoder; says nothing about its device."""
    try:
        Codec(encoder, "w")
    except UnknownCodecError:
        return False
    return True


@cache
def option_names(encoder: str) -> frozenset[str]:
    """Names of the options that a listed encoder knows, libavcodec's own among them."""
    known: Any = CodecContext.create(encoder, "w")
    options = known.supported_options
    return frozenset(each.name for each in (*options.generic, *options.private))
