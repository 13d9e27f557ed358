"""The options of the hardware encoders, by family: best preset, constant quality.

Source: the option tables of libavcodec's nvenc, amf, qsv, vaapi and videotoolbox encoders. Only
the trial on a node (`farm.encoder_trial`) says whether a device takes them.
"""

from __future__ import annotations

from farm.media.encoder_options import EncoderTask, Options, OptionsOf, on_scale, rate_options

_BITS_PER_PIXEL = 0.2
"""What H.264 spends on a pixel of camera footage at quality 18; halved every six steps."""
_BASE_QUALITY, _HALVING_STEPS = 18, 6
_LEAST_BITRATE = 200_000
_LAMBDA = 118
"""libavcodec's FF_QP2LAMBDA."""
_TOOLBOX_STEPS = 100
_Q_INDEX_STEPS = 255
"""Of AV1 and VP9 quantisers, as VAAPI counts them."""


def nvenc(task: EncoderTask) -> Options:
    """`*_nvenc`: best preset, variable bit rate at constant quality, two full passes.

    Each picture is coded twice in full resolution; bits go where the eye looks, within a picture
    and from picture to picture.
    """
    options = {"preset": task.preset or "p7", "forced-idr": "1"}
    if task.lossless:
        return options | {"tune": "lossless"}
    rate = rate_options(task, {"cq": str(task.quality), "b": "0"})
    seen = {"spatial-aq": "1", "temporal-aq": "1"}
    return options | {"tune": "hq", "rc": "vbr", "multipass": "fullres"} | seen | rate


def amf(task: EncoderTask) -> Options:
    """`*_amf`: quality preset; a variable rate that follows the quality asked for.

    Its latency-bound variable rate knows no constant quality: it gets the rate that the quality
    costs on ordinary footage, and the quantiser as a hint.
    """
    options = {"usage": "transcoding", "quality": task.preset or "quality"}
    if task.bitrate is not None:
        return options | {"rc": "vbr_peak"} | rate_options(task, {})
    value = str(max(1, task.quality))
    rate = {"rc": "vbr_latency", "b": str(_usual_bitrate(task)), "qp_i": value, "qp_p": value}
    return options | rate | rate_options(task, {})


def qsv(task: EncoderTask) -> Options:
    """`*_qsv`: constant quality."""
    options = {"preset": task.preset or "slower"}
    return options | rate_options(task, {"global_quality": str(max(1, task.quality))})


def vaapi(task: EncoderTask) -> Options:
    """`h264_vaapi`, `hevc_vaapi`: constant quantiser."""
    if task.bitrate is not None:
        return {"rc_mode": "VBR"} | rate_options(task, {})
    return {"rc_mode": "CQP", "qp": str(max(1, task.quality))} | rate_options(task, {})


def vaapi_wide(task: EncoderTask) -> Options:
    """`av1_vaapi`, `vp9_vaapi`: constant quantiser on a scale of 255."""
    if task.bitrate is not None:
        return {"rc_mode": "VBR"} | rate_options(task, {})
    value = str(max(1, on_scale(task.quality, _Q_INDEX_STEPS)))
    return {"rc_mode": "CQP", "global_quality": value} | rate_options(task, {})


def videotoolbox(task: EncoderTask) -> Options:
    """`*_videotoolbox`: constant quality (Apple silicon), never Apple's software encoder."""
    value = _TOOLBOX_STEPS - on_scale(task.quality, _TOOLBOX_STEPS - 1)
    quality = {"flags": "+qscale", "global_quality": str(value * _LAMBDA)}
    return {"realtime": "0", "require_sw": "0", "allow_sw": "0"} | rate_options(task, quality)


def hardware_options(encoder: str, family: str) -> OptionsOf:
    """What makes the options of a hardware encoder."""
    if family == "vaapi" and encoder.startswith(("av1", "vp9")):
        return vaapi_wide
    return _OPTIONS[family]


def _usual_bitrate(task: EncoderTask) -> int:
    """Bits per second that a quality costs on camera footage."""
    halvings = (task.quality - _BASE_QUALITY) / _HALVING_STEPS
    bits = task.width * task.height * float(task.frame_rate) * _BITS_PER_PIXEL / 2**halvings
    return max(_LEAST_BITRATE, round(bits))


_OPTIONS: dict[str, OptionsOf] = {
    "nvenc": nvenc,
    "amf": amf,
    "qsv": qsv,
    "vaapi": vaapi,
    "videotoolbox": videotoolbox,
}
