"""Settings of one render, checked when made: what the user asked for and nothing else.

Each annotated field is an option of the command line, of TOML files and of the environment.
Functions take the numbers that they need; this record crosses only the borders between the command
line, the job and the manifest. Not for: facts about the machine or the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from farm.errors import SettingsError
from farm.face_settings import AnalysisSettings, SelectionSettings
from farm.farm_options import (
    Address,
    AllowUnverified,
    ChunkSeconds,
    Detector,
    JobDir,
    MaxMemory,
    Models,
    ModelsDir,
    Overwrite,
    Provider,
    SameProvider,
    Threads,
    TurnedFaces,
    VideoStreamIndex,
    Workers,
)
from farm.fault_settings import FaultSettings
from farm.limit_settings import LimitSettings
from farm.options import Option, OptionKind, check_ranges
from farm.paste_settings import PasteSettings
from farm.precision import Precision

_MOST_PX = 16384
"""Longest side of a picture that encoders take."""


class EncodeOn(StrEnum):
    """Where the output's video stream is encoded."""

    WORKER = "worker"
    """Each worker encodes its chunks; the final task joins them by stream copy."""
    FINAL = "final"
    """Workers write lossless intermediates; the final task encodes the whole in one stream."""


class VerifyLevel(StrEnum):
    """How much of the finished file is checked before it gets its name."""

    QUICK = "quick"
    FULL = "full"


class HardwareDecode(StrEnum):
    """Which device may decode the source; the best first, in libavutil's words."""

    AUTO = "auto"
    """Any that is here, gives what software gives, and is faster."""
    OFF = "off"
    CUDA = "cuda"
    """NVDEC."""
    VIDEOTOOLBOX = "videotoolbox"
    VAAPI = "vaapi"
    QSV = "qsv"
    D3D11VA = "d3d11va"


class AnonymizeMethod(StrEnum):
    """What `face_anonymizer` puts over a face."""

    BLUR = "blur"
    PIXELATE = "pixelate"
    SOLID = "solid"


class MaskShape(StrEnum):
    """Outline of an anonymised region."""

    ELLIPSE = "ellipse"
    BOX = "box"


_RATE_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_LEAST_RATE, _MOST_RATE = 1_000, 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSettings:
    """What the frame processors need to know; part of the job's identity."""

    names: Annotated[
        tuple[str, ...],
        Option(
            name="frame-processor",
            metavar="NAME",
            help="none, face_anonymizer, face_swapper, face_enhancer, frame_interpolator or "
            "debug_overlay; several run in order.",
        ),
    ] = ("face_swapper",)
    many_faces: Annotated[bool, Option(help="Work on every face, not on one person.")] = False
    precision: Annotated[
        Precision, Option(help="How a GPU computes new faces; CPUs always take fp32.")
    ] = Precision.TF32
    detector: Detector = "auto"
    turned_faces: TurnedFaces = False
    anonymize_method: Annotated[
        AnonymizeMethod, Option(name="anonymizer-method", help="What covers a face.")
    ] = AnonymizeMethod.BLUR
    anonymize_shape: Annotated[
        MaskShape, Option(name="anonymizer-shape", help="Outline of what covers a face.")
    ] = MaskShape.ELLIPSE
    anonymize_padding: Annotated[
        float,
        Option(
            name="anonymizer-padding",
            help="Share of the face box that is added on each side, 0 to 4.",
            low=0,
            high=4,
        ),
    ] = 0.3
    enhancer_blend: Annotated[
        float, Option(help="Weight of the enhanced face, 0 to 1.", low=0, high=1)
    ] = 0.8
    paste: PasteSettings = field(default_factory=PasteSettings)

    def __post_init__(self) -> None:
        check_ranges(self)


class OnChange(StrEnum):
    """What happens where the picture changes its size or format in mid-stream."""

    REFUSE = "refuse"
    """The render does not begin; the places are named."""
    SCALE = "scale"
    """Frames are brought to the size and format that the stream begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSettings:
    """What is changed of the picture beside its faces, because it was asked for."""

    scale: Annotated[
        str | None,
        Option(metavar="WxH", unset="as it is", help="Size of the output, like 1280x720."),
    ] = None
    deinterlace: Annotated[bool, Option(help="Make interlaced frames progressive.")] = False
    on_change: Annotated[
        OnChange, Option(help="Where the picture's size or format changes in mid-stream.")
    ] = OnChange.REFUSE

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.scale is not None:
            parse_size(self.scale)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of `scale`."""
        return None if self.scale is None else parse_size(self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSettings:
    """What is changed of the video's times, because it was asked for."""

    start: Annotated[
        Fraction | None,
        Option(
            kind=OptionKind.TIME,
            metavar="TIME",
            unset="the first frame",
            help="Where to begin: seconds from the first frame, or H:MM:SS.mmm.",
        ),
    ] = None
    end: Annotated[
        Fraction | None,
        Option(
            kind=OptionKind.TIME,
            metavar="TIME",
            unset="the last frame",
            help="Where to end; what is shown from then on is left out.",
        ),
    ] = None
    fps: Annotated[
        Fraction | None,
        Option(
            kind=OptionKind.RATE,
            metavar="RATE",
            unset="the source's own times",
            help="Show frames at this constant rate, like 25 or 30000/1001.",
        ),
    ] = None

    interpolation: Annotated[
        int,
        Option(
            low=2,
            high=8,
            help="How many times as many frames frame_interpolator gives, where --fps says none.",
        ),
    ] = 2

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise SettingsError(
                f"--end {float(self.end):g}: must lie behind --start {float(self.start):g}"
            )

    @property
    def asked(self) -> bool:
        """Whether frames are to be shown at other times than in the source."""
        return any(each is not None for each in (self.start, self.end, self.fps))


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of `WIDTHxHEIGHT`.

    Raises:
        SettingsError: It is not written like that, or no size that videos have.
    """
    match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", text.strip())
    if match is None:
        raise SettingsError(f"--scale {text}: write WIDTHxHEIGHT, like 1280x720")
    size = int(match[1]), int(match[2])
    if not all(2 <= side <= _MOST_PX for side in size):
        raise SettingsError(f"--scale {text}: each side must be between 2 and {_MOST_PX}")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """What is asked of the encoder beside its name and its quality."""

    hardware: Annotated[
        bool,
        Option(
            name="hardware-encoder",
            off="no-hardware-encoder",
            help="Let a hardware encoder of the same codec take the place of a software encoder.",
        ),
    ] = True
    preset: Annotated[
        str | None,
        Option(
            metavar="NAME",
            unset="the best that keeps pace",
            help="Preset of exactly the encoder that is named.",
        ),
    ] = None
    bitrate: Annotated[
        str | None,
        Option(
            metavar="RATE",
            unset="by --video-quality",
            help="Bits per second of the video (4M, 900k), instead of a quality.",
        ),
    ] = None
    maxrate: Annotated[
        str | None,
        Option(metavar="RATE", unset="none", help="Bits per second that are never exceeded."),
    ] = None
    two_pass: Annotated[
        bool, Option(help="Look at the whole video before --bitrate is spent on it.")
    ] = False
    pix_fmt: Annotated[
        str | None,
        Option(metavar="NAME", unset="the source's, or the nearest", help="Pixel format."),
    ] = None
    options: Annotated[
        tuple[str, ...],
        Option(
            name="encoder-option",
            metavar="NAME=VALUE",
            unset="none",
            help="Option of exactly the encoder that is named; may be given more than once.",
        ),
    ] = ()

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, text in (("--bitrate", self.bitrate), ("--maxrate", self.maxrate)):
            if text is not None:
                bits_per_s(name, text)
        if self.two_pass and self.bitrate is None:
            raise SettingsError("--two-pass: says how --bitrate is spent; give that too")
        for text in self.options:
            if not all(part.strip() for part in (text + " ").partition("=")):
                raise SettingsError(f"--encoder-option {text}: write NAME=VALUE, like aq-mode=3")

    @property
    def named_options(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each encoder option."""
        pairs = (text.partition("=") for text in self.options)
        return tuple((name.strip(), value.strip()) for name, _, value in pairs)

    @property
    def needs_whole(self) -> bool:
        """Whether the encoder must see the whole video to do what is asked."""
        return bool(self.bitrate or self.maxrate or self.two_pass)

    @property
    def insists(self) -> bool:
        """Whether something is asked that only the very encoder that is named understands."""
        return bool(self.preset or self.options or self.two_pass)


def bits_per_s(option: str, text: str) -> int:
    """Bits per second of a text like `4M`, `2.5M` or `900k`.

    Raises:
        SettingsError: It is no rate.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kKmM]?)", text.strip())
    rate = 0 if match is None else round(float(match[1]) * _RATE_UNITS[match[2].lower()])
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise SettingsError(f"{option} {text}: write bits per second, like 4M or 900k")
    return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSettings:
    """One `facefarm render`, as asked for."""

    sources: Annotated[
        tuple[Path, ...],
        Option(
            name="source",
            short="s",
            unset="none",
            help="Image of the face to put in; may be given more than once.",
        ),
    ] = ()
    target: Annotated[Path, Option(short="t", help="Video or image to render.")]
    output: Annotated[Path, Option(short="o", help="File to write.")]
    overwrite: Overwrite = False
    video_stream: VideoStreamIndex = None
    keep_audio: Annotated[bool, Option(off="no-audio", help="Keep the sound.")] = True
    copy_untouched: Annotated[
        bool, Option(help="Keep the source's own packets of groups in which no pixel was changed.")
    ] = False
    strip_metadata: Annotated[
        bool, Option(help="Leave out tags and data that tell place and device.")
    ] = False
    keep_frames: Annotated[bool, Option(help="Also write every output frame as PNG.")] = False
    nsfw_filter: Annotated[
        bool, Option(help="Refuse pornography; looks at a frame every 2 s, and at sources.")
    ] = False
    c2pa_certificate: Annotated[
        Path | None,
        Option(unset="none", help="PEM chain of certificates to sign the output with (C2PA)."),
    ] = None
    c2pa_key: Annotated[Path | None, Option(unset="none", help="PEM private key that fits it.")] = (
        None
    )
    processors: ProcessorSettings = field(default_factory=ProcessorSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    shape: ShapeSettings = field(default_factory=ShapeSettings)
    time: TimeSettings = field(default_factory=TimeSettings)
    models_dir: ModelsDir = None
    models: Models = ()
    allow_unverified_models: AllowUnverified = False
    execution_provider: Provider = None
    same_provider: SameProvider = False
    execution_threads: Threads = None
    video_encoder: Annotated[
        str,
        Option(
            metavar="NAME",
            help=(
                "libx264, libx265, libvpx-vp9 and libsvtav1 stand for their codec, coded by the "
                "best encoder that works; a hardware encoder's name for itself; or ffv1."
            ),
        ),
    ] = "libx264"
    video_quality: Annotated[
        int, Option(help="0 (bit-exact lossless) to 51 (smallest).", low=0, high=51)
    ] = 18
    encoding: EncoderSettings = field(default_factory=EncoderSettings)
    encode_on: Annotated[
        EncodeOn | None,
        Option(
            unset="worker, unless only final can do what is asked",
            help="Encode chunks in the workers, or all in the final task.",
        ),
    ] = None
    hardware_decode: Annotated[
        HardwareDecode,
        Option(
            help="Device that decodes, once its frames were those of software; auto takes one that "
            "is faster."
        ),
    ] = HardwareDecode.OFF
    max_memory_bytes: MaxMemory = None
    workers: Workers = None
    chunk_seconds: ChunkSeconds = None
    address: Address = None
    job_dir: JobDir = None
    ffmpeg: Annotated[
        Path | None, Option(unset="the bundled one", help="Program of the final task.")
    ] = None
    report: Annotated[bool, Option(help="Also write OUTPUT.facefarm.html, to look at.")] = False
    faults: FaultSettings = field(default_factory=FaultSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    verify: Annotated[VerifyLevel, Option(help="How much of the finished file is checked.")] = (
        VerifyLevel.QUICK
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.selection.faces is not None and self.analysis.is_asked:
            raise SettingsError(
                "--faces: detection, gaps and smoothing are those of the table; leave --detect-"
                "every, --fill-gaps and --smooth-landmarks to `facefarm analyze`"
            )
        if self.processors.many_faces and self.selection.names_somebody:
            raise SettingsError(
                "--many-faces: works on everybody; leave it or --face-selector, --reference-face, "
                "--reference-at and --map-faces out"
            )
        rate = self.encoding.bitrate or self.encoding.maxrate
        if rate and self.video_quality == 0:
            raise SettingsError(f"--video-quality 0 knows no rate of {rate}: leave one of them out")
        if self.encoding.needs_whole and self.encode_on is EncodeOn.WORKER:
            raise SettingsError(
                "--encode-on worker: a rate is kept over the whole video, which only "
                "--encode-on final sees; leave one of them out"
            )
