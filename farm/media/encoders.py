"""Choosing the encoder of a job: one choice, made by the driver, used unchanged by every worker.

Bytes depend on every field of the choice and on nothing else, the number of threads included. Not
for: encoding (`farm.media.encode`) or which containers hold the result (`farm.media.containers`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from farm.errors import SettingsError, SetupError
from farm.media.chroma import NAMES as CHROMA_NAMES
from farm.media.convert import guessed_space
from farm.media.encoder_formats import encoder_pix_fmt, is_8_bit_rgb
from farm.media.encoder_names import NO_LOSSLESS, codec_of, hardware_family, is_listed, option_names
from farm.media.encoder_options import SOFTWARE_OPTIONS, EncoderTask
from farm.media.hardware_options import hardware_options
from farm.media.hdr import HdrMetadata
from farm.media.pixel_formats import is_rgb
from farm.media.stream import ColorTags, StreamParameters
from farm.settings import EncoderSettings, bits_per_s

_FULL, _LIMITED = 2, 1
_INTERLACED_ORDERS = range(2, 6)
_TWO_PASS_ENCODERS = frozenset({"libx264", "libx265", "libvpx-vp9"})
_DEFAULT_RATE = Fraction(25)


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
    two_pass: bool = False
    """Whether all frames are looked at before they are encoded."""

    @property
    def family(self) -> str | None:
        """Hardware family (`nvenc`, `amf` ...), None for a software encoder."""
        return hardware_family(self.encoder)


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
    settings: EncoderSettings | None = None,
) -> tuple[EncoderChoice, tuple[str, ...]]:
    """Choose pixel format and options of one encoder for a stream.

    Args:
        video_encoder: `libx264`, `libx265`, `libvpx-vp9`, `libsvtav1`, `ffv1`, or hardware.
        quality: 0 (bit-exact) to 51.
        stream: The source's stream.
        threads: Encoder threads of the job; None takes `encoder_threads` of the picture's size.
        interlaced: Whether frames hold two fields; None believes the stream.
        hdr: Static HDR metadata of the source.
        settings: What else is asked; None for nothing.

    Returns:
        The choice, and notes that are said before the start.

    Raises:
        SettingsError: there is no such encoder, or it cannot do what is asked.
        SetupError: the encoder is not part of the installed PyAV.
    """
    settings = settings or EncoderSettings()
    codec, family = codec_of(video_encoder), hardware_family(video_encoder)
    _check_able(video_encoder, family, quality, settings)
    encoder = video_encoder
    if encoder == "libx264" and quality == 0 and is_8_bit_rgb(stream.pix_fmt):
        encoder = "libx264rgb"
    size = (stream.width, stream.height)
    pix_fmt, losses = encoder_pix_fmt(encoder, codec, quality, stream, settings.pix_fmt)
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
        frame_rate=stream.frame_rate or _DEFAULT_RATE,
        preset=settings.preset,
        bitrate=_rate("--bitrate", settings.bitrate),
        maxrate=_rate("--maxrate", settings.maxrate),
        interlaced=fields,
        limited_only=color == ColorTags(range=_LIMITED),
        hdr=hdr,
    )
    options_of = hardware_options(encoder, family) if family else SOFTWARE_OPTIONS[encoder]
    choice = EncoderChoice(
        codec=codec,
        encoder=encoder,
        pix_fmt=pix_fmt,
        options=_merged(options_of(task) | _chroma(encoder, stream), settings.named_options),
        threads=task.threads,
        quality=quality,
        lossless=quality == 0 or codec == "ffv1",
        exact=not any("stored as" not in each for each in losses),
        interlaced=fields,
        color=color,
        sample_aspect_ratio=stream.sample_aspect_ratio,
        two_pass=settings.two_pass,
    )
    return choice, tuple(notes)


def _chroma(encoder: str, stream: StreamParameters) -> dict[str, str]:
    """The option that says where chroma samples lie, for encoders that write it."""
    if not stream.chroma_location or encoder not in ("libx264", "libx265"):
        return {}
    return {"chroma_sample_location": CHROMA_NAMES[stream.chroma_location]}


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


def _check_able(encoder: str, family: str | None, quality: int, settings: EncoderSettings) -> None:
    """Refuse what an encoder cannot do.

    Raises:
        SettingsError: It cannot.
        SetupError: It is not part of the installed PyAV.
    """
    if not is_listed(encoder):
        raise SetupError(f"{encoder} is not in the installed PyAV; choose another --video-encoder")
    if quality == 0 and (encoder in NO_LOSSLESS or family in NO_LOSSLESS):
        raise SettingsError(
            f"{encoder} cannot be lossless: give --video-quality 1 or more, or use libx264"
        )
    if settings.two_pass and encoder not in _TWO_PASS_ENCODERS:
        raise SettingsError(
            f"--two-pass: {encoder} has one pass only; libx264, libx265 and libvpx-vp9 have two"
        )
    if encoder == "ffv1" and settings.needs_whole:
        raise SettingsError("ffv1 is lossless and keeps no rate: leave --bitrate, --maxrate out")
    if encoder == "libsvtav1" and settings.bitrate and settings.maxrate:
        raise SettingsError("libsvtav1 keeps --maxrate for a quality only: leave --bitrate out")
    for name, _ in settings.named_options:
        if name not in option_names(encoder):
            raise SettingsError(f"--encoder-option {name}: {encoder} has no option {name!r}")


def _rate(option: str, text: str | None) -> int | None:
    return None if text is None else bits_per_s(option, text)


def _merged(
    options: dict[str, str], asked: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The farm's options with the user's over them; lists of parameters are put together."""
    merged = dict(options)
    for name, value in asked:
        joined = name.endswith("-params") and name in merged
        merged[name] = f"{merged[name]}:{value}" if joined else value
    return tuple(sorted(merged.items()))


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
