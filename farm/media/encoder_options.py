"""The options of each software encoder, and what options depend on.

Quality 0 is bit-exact lossless, by the one way that is really lossless at every depth. No option
may make bytes depend on the machine. Not for: hardware encoders (`farm.media.hardware_options`) or
choosing one (`farm.media.encoders`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from farm.media.hdr import HdrMetadata

Options = dict[str, str]
OptionsOf = Callable[["EncoderTask"], Options]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderTask:
    """What the options of an encoder depend on."""

    quality: int
    """0 (lossless) to 51; not looked at where there is a bit rate."""
    width: int
    height: int
    threads: int
    frame_rate: Fraction = Fraction(25)
    preset: str | None = None
    """None takes the farm's."""
    bitrate: int | None = None
    """Bits per second to spend; None for constant quality."""
    maxrate: int | None = None
    """Bits per second that are never exceeded."""
    interlaced: bool = False
    limited_only: bool = False
    """Whether the stream says limited range and nothing else of its colour."""
    hdr: HdrMetadata | None = None

    @property
    def lossless(self) -> bool:
        """Whether each sample must come back as it was."""
        return self.quality == 0 and self.bitrate is None


_QUALITY_STEPS = 51
_VPX_STEPS = 63
_BUFFER_S = 2
"""Seconds of `maxrate` that a decoder's buffer holds."""


def x264(task: EncoderTask) -> Options:
    """`libx264` and `libx264rgb`: film tune, closed GOPs, fields where the source has them."""
    params = ["open-gop=0"]
    if task.limited_only:
        params.append("videoformat=component")  # makes x264 write the range at all
    if task.hdr and task.hdr.mastering_display:
        params.append(f"mastering-display={task.hdr.mastering_display}")
    if task.hdr and task.hdr.content_light:
        params.append("cll={},{}".format(*task.hdr.content_light))
    options = {"preset": task.preset or "medium", "x264-params": ":".join(params)}
    if task.interlaced:
        options["flags"] = "+ildct+ilme"
    if task.lossless:
        return options | {"qp": "0"}
    return options | {"tune": "film"} | rate_options(task, {"crf": str(task.quality)})


def x265(task: EncoderTask) -> Options:
    """`libx265`: parameter sets at every keyframe, no SEI that names the machine."""
    params = ["open-gop=0", "repeat-headers=1", "info=0", "log-level=error"]
    params += [f"pools={task.threads}", f"frame-threads={max(1, task.threads // 2)}"]
    if task.lossless:
        params.append("lossless=1")
    if task.limited_only:
        params.append("range=limited")
    if task.hdr and task.hdr.mastering_display:
        params += ["hdr10=1", f"master-display={task.hdr.mastering_display}"]
    if task.hdr and task.hdr.content_light:
        params.append("max-cll={},{}".format(*task.hdr.content_light))
    options = {"preset": task.preset or "medium", "x265-params": ":".join(params)}
    return options if task.lossless else options | rate_options(task, {"crf": str(task.quality)})


def vp9(task: EncoderTask) -> Options:
    """`libvpx-vp9`: constant quality, threads by rows; its presets are values of `cpu-used`."""
    options = {"deadline": "good", "cpu-used": task.preset or "3", "row-mt": "1"}
    options["auto-alt-ref"] = "1"
    options["tile-columns"] = str(max(0, min(4, (task.width // 256).bit_length() - 1)))
    if task.lossless:
        return options | {"b": "0", "lossless": "1"}
    crf = {"crf": str(max(1, on_scale(task.quality, _VPX_STEPS)))}
    if task.bitrate is None:
        # Its constrained quality takes the limit as the rate.
        return options | crf | {"b": str(task.maxrate or 0)}
    return options | rate_options(task, crf)


def svt_av1(task: EncoderTask) -> Options:
    """`libsvtav1`: constant quality."""
    params = [f"lp={task.threads}"]
    if task.hdr and task.hdr.mastering_display:
        params.append(f"mastering-display={task.hdr.mastering_in_units}")
    if task.hdr and task.hdr.content_light:
        params.append("content-light={},{}".format(*task.hdr.content_light))
    options = {"preset": task.preset or "6", "svtav1-params": ":".join(params)}
    crf = {"crf": str(max(1, on_scale(task.quality, _VPX_STEPS)))}
    if task.bitrate is None:
        return options | rate_options(task, crf)
    # With a limit its variable rate is refused; the limit of constant quality is another thing.
    return options | {"b": str(task.bitrate)}


def ffv1(task: EncoderTask) -> Options:
    """`ffv1`: every frame by itself, in slices that carry their own checksums."""
    pixels = task.width * task.height
    slices = 4 if pixels < 640 * 480 else 12 if pixels < 1920 * 1080 else 24
    return {"level": "3", "coder": "1", "context": "0", "g": "1", "slicecrc": "1"} | {
        "slices": str(slices)
    }


def rate_options(task: EncoderTask, quality: Options) -> Options:
    """Options of libavcodec that all encoders share for a rate, else those of the quality."""
    options = dict(quality) if task.bitrate is None else {"b": str(task.bitrate)}
    if task.maxrate is not None:
        options |= {"maxrate": str(task.maxrate), "bufsize": str(_BUFFER_S * task.maxrate)}
    return options


def on_scale(quality: int, steps: int) -> int:
    """Quality 0 to 51 on a scale of `steps`."""
    return round(quality * steps / _QUALITY_STEPS)


SOFTWARE_OPTIONS: dict[str, OptionsOf] = {
    "libx264": x264,
    "libx264rgb": x264,
    "libx265": x265,
    "libvpx-vp9": vp9,
    "libsvtav1": svt_av1,
    "ffv1": ffv1,
}
"""By encoder name."""
