"""One picture of a render as JPEG: of a finished chunk, or of a finished output.

Only results are ever shown, so an anonymised face stays hidden. Not for: pictures that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
from av.packet import Packet
from av.video.frame import VideoFrame

from farm.errors import ChunkError, MediaError
from farm.media.chunk_decode import open_chunk_decoder
from farm.media.chunk_file import read_header, read_packets

_WIDTH_PX = 640
_QUALITY = 80


def chunk_snapshot(path: Path) -> bytes:
    """JPEG of the first frame of a chunk file.

    Raises:
        ChunkError: It is no whole chunk file, or does not decode.
    """
    context = open_chunk_decoder(read_header(path))
    for packet in read_packets(path):
        if frames := context.decode(Packet(packet.data)):
            return _jpeg(frames[0])
    if frames := context.decode(None):
        return _jpeg(frames[0])
    raise ChunkError(f"{path}: no picture comes out of it")


def output_snapshot(path: Path, share: float = 0.5) -> bytes:
    """JPEG of a keyframe of a video, or of a picture.

    Args:
        path: The file.
        share: Where to look, as a share of its length.

    Raises:
        MediaError: It shows nothing.
    """
    try:
        with av.open(str(path)) as container:
            if container.duration and container.duration > av.time_base // 10:
                container.seek(int(container.duration * share), backward=True)
            return _jpeg(_first(container.decode(video=0), path))
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be shown ({error})") from error


def _first(frames: Iterable[VideoFrame], path: Path) -> VideoFrame:
    for frame in frames:
        return frame
    raise MediaError(f"{path}: shows nothing")


def _jpeg(frame: VideoFrame) -> bytes:
    width = min(_WIDTH_PX, frame.width)
    height = max(2, round(frame.height * width / frame.width))
    small = frame.reformat(width=width, height=height, format="bgr24", threads=1)
    done, data = cv2.imencode(".jpg", small.to_ndarray(), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise MediaError("the picture cannot be written as JPEG")
    return data.tobytes()
