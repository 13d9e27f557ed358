"""Which pixel format of an encoder a stream gets.

Not for: comparing formats (`farm.media.pixel_formats`).
"""

from __future__ import annotations

from av.codec import Codec

from farm.errors import SettingsError
from farm.media.encoder_names import hardware_family
from farm.media.pixel_formats import has_alpha, is_rgb, nearest_pix_fmt
from farm.media.stream import StreamParameters

_HARDWARE_PIX_FMTS = ("yuv420p", "p010le", "nv12")
_NVENC_PIX_FMTS = (*_HARDWARE_PIX_FMTS, "yuv444p")
_DEVICE_PIX_FMTS = ("nv12", "p010le")
"""Of an encoder that takes frames on its device only."""
_TWINS = frozenset({"nv12", "nv16", "nv21", "nv20le"})
"""Formats that hold the same as a planar one."""


def encoder_pix_fmt(
    encoder: str, codec: str, quality: int, stream: StreamParameters, asked: str | None
) -> tuple[str, tuple[str, ...]]:
    """Pixel format that an encoder is given, and what it loses of the source's.

    Raises:
        SettingsError: The encoder has none for the picture, or not the one that is asked for.
    """
    known = _pix_fmts(encoder, quality)
    if asked is not None and asked not in known:
        raise SettingsError(f"--pix-fmt {asked}: {encoder} takes {', '.join(sorted(known))}")
    found = nearest_pix_fmt(
        stream.pix_fmt,
        known if asked is None else (asked,),
        stream.width,
        stream.height,
        whole_chroma=codec in ("h264", "hevc"),
    )
    if found is None:
        raise SettingsError(
            f"{encoder} takes no {asked or 'picture'} of {stream.width}x{stream.height}: its sides "
            "must be even; choose another encoder or --pix-fmt"
        )
    return found


def _pix_fmts(encoder: str, quality: int) -> tuple[str, ...]:
    """Formats that an encoder of the installed libraries takes and that players then show.

    Only FFV1 keeps transparency, and only lossless streams stay RGB: hardly a player shows others.
    """
    formats = [each.name for each in Codec(encoder, "w").video_formats or []]
    family = hardware_family(encoder)
    if family == "vaapi":
        return _DEVICE_PIX_FMTS
    if family is not None:
        able = _NVENC_PIX_FMTS if family == "nvenc" else _HARDWARE_PIX_FMTS
        return tuple(each for each in formats if each in able)
    if encoder == "ffv1":
        return tuple(formats)
    return tuple(
        each
        for each in formats
        if each not in _TWINS and not has_alpha(each) and (quality == 0 or not is_rgb(each))
    )


def is_8_bit_rgb(pix_fmt: str) -> bool:
    """Whether a format is RGB of 8 bit, transparent or not."""
    found = nearest_pix_fmt(pix_fmt, ("rgb24",), 1, 1, whole_chroma=False)
    exact = found is not None and found[1] in ((), ("transparency is dropped",))
    return is_rgb(pix_fmt) and exact
