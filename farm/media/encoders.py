"""Choosing the encoder of a job: one choice, made by the driver, used unchanged by every worker.

Bytes depend on every field of the choice and on nothing else, the number of threads included. Not
for: encoding (`farm.media.encode`) or which containers hold the result (`farm.media.containers`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from fractions import Fraction

from av.codec import Codec
from av.codec.codec import UnknownCodecError

from farm.errors import SettingsError, SetupError
from farm.media.convert import guessed_space
from farm.media.encoder_options import OPTIONS, EncoderTask
from farm.media.hdr import HdrMetadata
from farm.media.pixel_formats import has_alpha, is_rgb, nearest_pix_fmt
from farm.media.stream import ColorTags, StreamParameters

_SOFTWARE = {
    "libx264": "h264",
    "libx265": "hevc",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "ffv1": "ffv1",
}
_HARDWARE_FAMILIES = ("nvenc", "amf", "qsv")
_HARDWARE = {
    f"{codec}_{family}": codec for family in _HARDWARE_FAMILIES for codec in ("h264", "hevc", "av1")
}
_NO_LOSSLESS = ("libsvtav1", "amf", "qsv")
_FULL, _LIMITED = 2, 1
_INTERLACED_ORDERS = range(2, 6)
_HARDWARE_PIX_FMTS = ("yuv420p", "p010le", "nv12")
_TWINS = frozenset({"nv12", "nv16", "nv21", "nv20le"})
"""Formats that hold the same as a planar one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice:
    """Everything that makes an encoder give the same bytes everywhere."""

    codec: str
    """What a decoder calls it: `h264`, `hevc`, `vp9`, `av1`, `ffv1`."""
    encoder: str
    pix_fmt: str
    """What frames are converted to before they are encoded."""
    options: tuple[tuple[str, str], ...]
    threads: int
    quality: int
    lossless: bool
    """Whether the encoder gives back each sample of `pix_fmt`."""
    exact: bool
    """Whether `pix_fmt` holds all that the source's format does."""
    interlaced: bool = False
    color: ColorTags = field(default_factory=ColorTags)
    """Tags of the encoded stream."""
    sample_aspect_ratio: Fraction | None = None


def encoder_threads(width: int, height: int) -> int:
    """Threads of the encoder, by the size of the picture alone, since bytes depend on it."""
    pixels = width * height
    for limit, threads in ((640 * 480, 1), (1280 * 720, 2), (1920 * 1088, 4)):
        if pixels <= limit:
            return threads
    return 8


def choose_encoder(
    video_encoder: str,
    quality: int,
    stream: StreamParameters,
    threads: int | None = None,
    interlaced: bool | None = None,
    hdr: HdrMetadata | None = None,
) -> tuple[EncoderChoice, tuple[str, ...]]:
    """Choose encoder, pixel format and options for a stream.

    Args:
        video_encoder: `libx264`, `libx265`, `libvpx-vp9`, `libsvtav1`, `ffv1`, or hardware.
        quality: 0 (bit-exact) to 51.
        stream: The source's stream.
        threads: Encoder threads of the job; None takes `encoder_threads` of the picture's size.
        interlaced: Whether frames hold two fields; None believes the stream.
        hdr: Static HDR metadata of the source.

    Returns:
        The choice, and notes that are said before the start.

    Raises:
        SettingsError: there is no such encoder, or it cannot be lossless.
        SetupError: the encoder is not part of the installed PyAV.
    """
    codec, family = _known(video_encoder)
    if quality == 0 and (video_encoder in _NO_LOSSLESS or family in _NO_LOSSLESS):
        raise SettingsError(
            f"{video_encoder} cannot be lossless: give --video-quality 1 or more, or use libx264"
        )
    encoder = video_encoder
    if encoder == "libx264" and quality == 0 and is_rgb(stream.pix_fmt) and _is_8_bit(stream):
        encoder = "libx264rgb"
    size = (stream.width, stream.height)
    pix_fmt, losses = nearest_pix_fmt(
        stream.pix_fmt, _pix_fmts(encoder, quality), *size, whole_chroma=codec in ("h264", "hevc")
    )
    notes = []
    if losses:
        notes.append(f"{stream.pix_fmt} becomes {pix_fmt} for {encoder}: {', '.join(losses)}")
    fields = _is_interlaced(stream) if interlaced is None else interlaced
    if fields and codec != "ffv1" and not _codes_fields(encoder, quality, stream.height):
        fields = False
        notes.append(f"{encoder} does not mark interlaced frames here; their lines are kept")
    color = _color(stream, pix_fmt)
    task = EncoderTask(
        quality=quality,
        width=stream.width,
        height=stream.height,
        threads=threads or encoder_threads(*size),
        interlaced=fields,
        limited_only=color == ColorTags(range=_LIMITED),
        hdr=hdr,
    )
    choice = EncoderChoice(
        codec=codec,
        encoder=encoder,
        pix_fmt=pix_fmt,
        options=tuple(sorted(OPTIONS[family or encoder](task).items())),
        threads=task.threads,
        quality=quality,
        lossless=quality == 0 or codec == "ffv1",
        exact=not any("stored as" not in each for each in losses),
        interlaced=fields,
        color=color,
        sample_aspect_ratio=stream.sample_aspect_ratio,
    )
    return choice, tuple(notes)


def intermediate_encoder(stream: StreamParameters) -> EncoderChoice:
    """The lossless encoder of the chunks whose final encoding is done in one stream later.

    Raises:
        SetupError: FFV1 is not part of the installed PyAV.
    """
    return choose_encoder("ffv1", 0, stream)[0]


def _codes_fields(encoder: str, quality: int, height: int) -> bool:
    """Whether an encoder codes interlaced pictures as such, and rightly.

    Lossless x264 does not: a few samples of predicted interlaced macroblocks come out wrong (seen
    with the libx264 of PyAV 18.1 and of ffmpeg 5.1).
    """
    return encoder == "libx264" and quality > 0 and height % 4 == 0


def hardware_family(encoder: str) -> str | None:
    """Family of a hardware encoder (`nvenc`, `amf`, `qsv`), None for software."""
    return encoder.rpartition("_")[2] if encoder in _HARDWARE else None


def _known(name: str) -> tuple[str, str | None]:
    """Codec and hardware family of an encoder that a user named."""
    known = _SOFTWARE | _HARDWARE
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_SOFTWARE)}"
        raise SettingsError(f"--video-encoder {name}: there is no such encoder; {hint}")
    return known[name], hardware_family(name)


def _pix_fmts(encoder: str, quality: int) -> tuple[str, ...]:
    """Formats that an encoder of the installed libraries takes and that players then show.

    Only FFV1 keeps transparency, and only lossless streams stay RGB: hardly a player shows others.
    """
    try:
        formats = [each.name for each in Codec(encoder, "w").video_formats or []]
    except UnknownCodecError as error:
        raise SetupError(
            f"{encoder} is not in the installed PyAV; choose libx264, or install av with it"
        ) from error
    if hardware_family(encoder):
        return tuple(each for each in formats if each in _HARDWARE_PIX_FMTS)
    if encoder == "ffv1":
        return tuple(formats)
    return tuple(
        each
        for each in formats
        if each not in _TWINS and not has_alpha(each) and (quality == 0 or not is_rgb(each))
    )


def _is_8_bit(stream: StreamParameters) -> bool:
    return nearest_pix_fmt(stream.pix_fmt, ("rgb24",), 1, 1, whole_chroma=False)[1] in (
        (),
        ("transparency is dropped",),
    )


def _is_interlaced(stream: StreamParameters) -> bool:
    return stream.field_order in _INTERLACED_ORDERS


def _color(stream: StreamParameters, pix_fmt: str) -> ColorTags:
    """Tags of the encoded stream: the source's, but for what a change of colour model changes."""
    if is_rgb(pix_fmt):
        return replace(stream.color, space=0, range=_FULL)
    if is_rgb(stream.pix_fmt):
        space = guessed_space(stream.width, stream.height)
        return replace(stream.color, space=6 if space == 5 else space, range=_LIMITED)
    if stream.pix_fmt.startswith("yuvj"):
        return replace(stream.color, range=_FULL)
    return stream.color
