"""A decoder that knows all that the container said of a stream.

Not for: which packets it gets (`farm.media.decode`).
"""

from __future__ import annotations

import contextlib
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from farm.errors import MediaError
from farm.media.limits import DECODER_OPTIONS
from farm.media.stream import ColorTags, StreamParameters


def open_decoder(stream: StreamParameters, threads: int) -> VideoCodecContext:
    """Make a software decoder of a stream.

    Args:
        stream: The parameters.
        threads: Threads of the decoder; 0 lets libavcodec choose.

    Raises:
        MediaError: There is no such decoder.
    """
    try:
        context: Any = av.CodecContext.create(stream.codec, "r")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"no decoder for {stream.codec}; convert the video first") from error
    context.pix_fmt = stream.pix_fmt
    set_parameters(context, stream, threads)
    assert isinstance(context, VideoCodecContext)
    return context


def set_parameters(context: Any, stream: StreamParameters, threads: int) -> None:
    """Tell a decoder that is not open yet all but the pixel format."""
    if stream.extradata:
        context.extradata = stream.extradata
    context.width, context.height = stream.width, stream.height
    for name in ("codec_tag", "bits_per_coded_sample", "field_order", "reorder_depth"):
        setattr(context, name, getattr(stream, name))
    if stream.profile is not None:
        # Decoders that do not take a profile by name find it in the packets.
        with contextlib.suppress(ValueError):
            context.profile = stream.profile
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    _set_color(context, stream.color)
    context.thread_type = "AUTO"
    context.thread_count = threads
    # Without reorder information in its headers a bare H.264 decoder drops frames.
    own = {"strict": "1"} if stream.codec == "h264" else {}
    context.options = own | DECODER_OPTIONS


def _set_color(context: Any, color: ColorTags) -> None:
    """Tell a decoder the colour tags of the container."""
    context.color_range, context.colorspace = color.range, color.space
    context.color_primaries, context.color_trc = color.primaries, color.trc
