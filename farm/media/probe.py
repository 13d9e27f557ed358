"""Opening a video safely and reading what a decoder must know of its main stream.

Only local file protocols and real media containers are open: a playlist or a list of files that
poses as a video is refused. Not for: the packets (`farm.media.index`) or the frames
(`farm.media.listing`).
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from farm.errors import MediaError
from farm.limit_settings import LimitSettings
from farm.media.demux import demuxed
from farm.media.limits import DECODER_OPTIONS, check_length, check_size, check_stream_count
from farm.media.main_stream import main_video_stream
from farm.media.orientation import orientation_of
from farm.media.reasons import reason_of
from farm.media.stream import ColorTags, StreamParameters

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,vvc,av1,obu,ivf,flv,"
    "live_flv,asf,ogg,nut,gif,yuv4mpegpipe,m4v,mxf,mxf_opatom,dv,rm,wtv,h263,vc1,y4m,apng,evc,cavsvideo"
)
"""Real media containers; playlists and lists of files are none."""
_MEGA = 1_000_000
_PROBE_PACKETS = 4096
"""How many packets may go by before the first frame: more than a long group of pictures."""
_MATRIX_BYTES = 36


def open_container(path: Path) -> InputContainer:
    """Open a local media file for reading; the caller closes it.

    Raises:
        MediaError: The file is missing, empty, unreadable, or not a media file that the farm reads.
    """
    _check_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(f"file:{path}", container_options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        # A format that is not on the list is refused as an invalid argument.
        other = isinstance(error, av.error.ArgumentError)
        reason = "a picture, a playlist or the like" if other else reason_of(error)
        raise MediaError(
            f"{path}: not a video that can be read ({reason}); "
            "check that the file is complete and really a video"
        ) from error
    try:
        check_stream_count(path, len(container.streams))
    except MediaError:
        container.close()
        raise
    return container


def check_video(path: Path, video_stream: int | None) -> None:
    """See in a moment whether a file is a video with a stream that decodes.

    Raises:
        MediaError: It is not.
    """
    with open_container(path) as container:
        index = main_video_stream(container, path, video_stream).index
    read_parameters(path, index)


def check_limits(path: Path, video_stream: int | None, limits: LimitSettings) -> None:
    """Refuse a file that says of itself that it is more than is allowed.

    Raises:
        MediaError: It does.
    """
    with open_container(path) as container:
        check_stream_count(path, len(container.streams), limits.max_streams)
        context = main_video_stream(container, path, video_stream).codec_context
        if context is not None:
            most = limits.max_megapixels * _MEGA
            check_size(path, context.width or 0, context.height or 0, most)
        seconds = Fraction(container.duration or 0, av.time_base)
        check_length(path, 0, seconds, limits.max_hours)


def read_parameters(path: Path, stream_index: int) -> StreamParameters:
    """Read the decoder parameters of one stream; decodes frames until the first comes out.

    Raises:
        MediaError: No decoder for the codec, or no frame decodes.
    """
    with open_container(path) as container:
        stream = container.streams[stream_index]
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        if context is None:
            raise MediaError(f"{path}: no decoder for stream {stream_index}; convert it first")
        parameters = _context_parameters(context)
        check_size(path, context.width or 0, context.height or 0)
        context.options = DECODER_OPTIONS
        frame, marks_keyframes = _first_frame(container, stream, path)
        matrix = _display_matrix(frame)
        rotation, flipped = orientation_of(matrix) if matrix else (0, False)
        return StreamParameters(
            **parameters,
            width=frame.width,
            height=frame.height,
            pix_fmt=frame.format.name,
            time_base=Fraction(stream.time_base or Fraction(1, 1000)),
            frame_rate=_frame_rate(stream),
            sample_aspect_ratio=_sane_ratio(stream.sample_aspect_ratio),
            color=ColorTags(
                range=int(frame.color_range),
                space=int(frame.colorspace),
                primaries=int(frame.color_primaries),
                trc=int(frame.color_trc),
            ),
            display_matrix=matrix,
            rotation=rotation,
            flipped=flipped,
            marks_keyframes=marks_keyframes,
        )


def _context_parameters(context: Any) -> dict[str, Any]:
    """Take from an unopened codec context what is read before the first frame."""
    return {
        "codec": context.codec.name,
        "codec_tag": context.codec_tag,
        "profile": context.profile,
        "extradata": bytes(context.extradata or b""),
        "bits_per_coded_sample": context.bits_per_coded_sample,
        "field_order": int(context.field_order),
        "reorder_depth": int(context.reorder_depth),
    }


def _first_frame(
    container: InputContainer, stream: VideoStream, path: Path
) -> tuple[VideoFrame, bool]:
    """Decode until a frame comes out; damaged packets before it are passed over.

    Returns:
        The frame, and whether the decoder marks keyframes: it does not where it says nothing of a
        frame whose packet is one.
    """
    reason = "no frame in it"
    keyframes = set()
    packets = itertools.islice(demuxed(container, stream), _PROBE_PACKETS)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            raise MediaError(
                f"{path}: cannot be read ({reason_of(error)}); the file may be damaged"
            ) from error
        if packet is None:
            break
        if packet.is_keyframe:
            keyframes.add(packet.pts)
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            reason = reason_of(error)
            continue
        for frame in frames:
            assert isinstance(frame, VideoFrame)
            marked = frame.key_frame or frame.pict_type == PictureType.I
            return frame, bool(marked) or frame.pts not in keyframes
    raise MediaError(f"{path}: the video does not decode ({reason}); the file may be damaged")


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """Return the nine integers of the display matrix that the decoder attached, if any."""
    side_data: Any = frame.side_data
    if "DISPLAYMATRIX" not in side_data:
        return None
    raw = bytes(side_data["DISPLAYMATRIX"])[:_MATRIX_BYTES]
    numbers = (raw[i : i + 4] for i in range(0, len(raw), 4))
    return tuple(int.from_bytes(number, "little", signed=True) for number in numbers)


def _frame_rate(stream: VideoStream) -> Fraction | None:
    """Return the demuxer's guess where it is sane: between 0.01 and 1000 frames a second."""
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        if rate is not None and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate)
    return None


def _sane_ratio(ratio: Fraction | None) -> Fraction | None:
    """Drop an aspect ratio of zero, which stands for unknown."""
    return Fraction(ratio) if ratio else None


def _check_file(path: Path) -> None:
    """Say in one line why a path cannot be a video, before a demuxer sees it."""
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the name")
    if not path.is_file():
        raise MediaError(f"{path}: not a file; give one video file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        reason = error.strerror
        raise MediaError(f"{path}: cannot be read ({reason}); check its permissions") from error
    if empty:
        raise MediaError(f"{path}: the file is empty (0 bytes); copy or record it again")
