"""What a decoder must know of a video stream, as plain data that crosses process borders.

The farm ships packets, not container pieces; `StreamParameters` is everything that the container
would have told the decoder. Not for: opening files (`farm.media.probe`) or decoding
(`farm.media.decode`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorTags:
    """Colour description of a stream, as the integers of ITU-T H.273 that libavutil uses."""

    range: int = 0
    """0 unspecified, 1 limited (MPEG), 2 full (JPEG)."""
    space: int = 2
    """Matrix coefficients; 2 is unspecified."""
    primaries: int = 2
    trc: int = 2
    """Transfer characteristics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParameters:
    """Decoder parameters of one video stream."""

    codec: str
    """Decoder name, as libavcodec knows it (`h264`, `hevc`, `prores` ...)."""
    codec_tag: str
    profile: str | None
    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    """Seconds per tick of every pts, dts and duration of the stream."""
    frame_rate: Fraction | None
    """The demuxer's best guess; a hint for encoders, never a clock."""
    extradata: bytes = b""
    bits_per_coded_sample: int = 0
    field_order: int = 0
    """AVFieldOrder: 0 unknown, 1 progressive, 2 to 5 interlaced."""
    reorder_depth: int = 0
    """Frames that a decoder holds back to put them into display order."""
    sample_aspect_ratio: Fraction | None = None
    color: ColorTags = field(default_factory=ColorTags)
    chroma_location: int = 0
    """Where chroma samples lie, by number in `farm.media.chroma.NAMES`; 0 is not said."""
    display_matrix: tuple[int, ...] | None = None
    """Nine 32 bit integers of the container's display matrix, None when there is none."""
    rotation: int = 0
    """Degrees counter-clockwise that a player turns the picture: 0, 90, 180 or 270."""
    flipped: bool = False
    """Whether the display matrix mirrors the picture left to right before it turns it."""
    marks_keyframes: bool = True
    """Whether the decoder says which frames are keyframes; some (`qtrle`) say it of none."""
