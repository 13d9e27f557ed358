"""The options of each encoder: presets, and the quality 0 to 51 on the encoder's own scale.

Quality 0 is bit-exact lossless, by the one way that is really lossless at every depth. No option
may make bytes depend on the machine. Not for: choosing an encoder (`farm.media.encoders`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from farm.media.hdr import HdrMetadata

Options = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderTask:
    """What the options of an encoder depend on."""

    quality: int
    """0 (lossless) to 51."""
    width: int
    height: int
    threads: int
    interlaced: bool = False
    limited_only: bool = False
    """Whether the stream says limited range and nothing else of its colour."""
    hdr: HdrMetadata | None = None


_QUALITY_STEPS = 51
_VPX_STEPS = 63


def x264(task: EncoderTask) -> Options:
    """`libx264` and `libx264rgb`: film tune, closed GOPs, fields where the source has them."""
    params = ["open-gop=0"]
    if task.limited_only:
        params.append("videoformat=component")  # makes x264 write the range at all
    if task.hdr and task.hdr.mastering_display:
        params.append(f"mastering-display={task.hdr.mastering_display}")
    if task.hdr and task.hdr.content_light:
        params.append("cll={},{}".format(*task.hdr.content_light))
    options = {"preset": "medium", "x264-params": ":".join(params)}
    if task.interlaced:
        options["flags"] = "+ildct+ilme"
    if task.quality == 0:
        return options | {"qp": "0"}
    return options | {"tune": "film", "crf": str(task.quality)}


def x265(task: EncoderTask) -> Options:
    """`libx265`: parameter sets at every keyframe, no SEI that names the machine."""
    params = ["open-gop=0", "repeat-headers=1", "info=0", "log-level=error"]
    params += [f"pools={task.threads}", f"frame-threads={max(1, task.threads // 2)}"]
    if task.quality == 0:
        params.append("lossless=1")
    if task.limited_only:
        params.append("range=limited")
    if task.hdr and task.hdr.mastering_display:
        params += ["hdr10=1", f"master-display={task.hdr.mastering_display}"]
    if task.hdr and task.hdr.content_light:
        params.append("max-cll={},{}".format(*task.hdr.content_light))
    options = {"preset": "medium", "x265-params": ":".join(params)}
    return options if task.quality == 0 else options | {"crf": str(task.quality)}


def vp9(task: EncoderTask) -> Options:
    """`libvpx-vp9`: constant quality, threads by rows."""
    options = {"deadline": "good", "cpu-used": "3", "row-mt": "1", "b": "0", "auto-alt-ref": "1"}
    options["tile-columns"] = str(max(0, min(4, (task.width // 256).bit_length() - 1)))
    if task.quality == 0:
        return options | {"lossless": "1"}
    return options | {"crf": str(max(1, _on_scale(task.quality, _VPX_STEPS)))}


def svt_av1(task: EncoderTask) -> Options:
    """`libsvtav1`: constant quality."""
    crf = str(max(1, _on_scale(task.quality, _VPX_STEPS)))
    return {"preset": "6", "crf": crf, "svtav1-params": f"lp={task.threads}"}


def ffv1(task: EncoderTask) -> Options:
    """`ffv1`: every frame by itself, in slices that carry their own checksums."""
    pixels = task.width * task.height
    slices = 4 if pixels < 640 * 480 else 12 if pixels < 1920 * 1080 else 24
    return {"level": "3", "coder": "1", "context": "0", "g": "1", "slicecrc": "1"} | {
        "slices": str(slices)
    }


def nvenc(task: EncoderTask) -> Options:
    """`*_nvenc`: best preset, variable bit rate at constant quality, two full passes."""
    options = {"preset": "p7", "forced-idr": "1"}
    if task.quality == 0:
        return options | {"tune": "lossless"}
    rate = {"rc": "vbr", "cq": str(task.quality), "b": "0", "multipass": "fullres"}
    return options | {"tune": "hq"} | rate


def amf(task: EncoderTask) -> Options:
    """`*_amf`: quality mode at a constant quantiser."""
    value = str(max(1, task.quality))
    return {"quality": "quality", "rc": "cqp", "qp_i": value, "qp_p": value, "qp_b": value}


def qsv(task: EncoderTask) -> Options:
    """`*_qsv`: constant quality."""
    return {"preset": "slower", "global_quality": str(max(1, task.quality))}


def _on_scale(quality: int, steps: int) -> int:
    return round(quality * steps / _QUALITY_STEPS)


OPTIONS: dict[str, Callable[[EncoderTask], Options]] = {
    "libx264": x264,
    "libx264rgb": x264,
    "libx265": x265,
    "libvpx-vp9": vp9,
    "libsvtav1": svt_av1,
    "ffv1": ffv1,
    "nvenc": nvenc,
    "amf": amf,
    "qsv": qsv,
}
"""By encoder name, and by family for hardware encoders."""
