"""Every kind of test video, made on demand, and the reference that renders are compared with.

`RECIPES` maps a file name to how the file is made and what a render must do with it;
`media_studio` of `tests.conftest` makes each once per session.
Not for: pictures with faces or models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from tests.recipes import broken, coding, containers, crafted, faces
from tests.recipes.studio import Kind, Recipe, Studio
from tests.stamps import read_stamp

__all__ = [
    "RECIPES",
    "AudioPacket",
    "Kind",
    "Recipe",
    "SerialFrame",
    "Studio",
    "audio_packets",
    "frame_md5",
    "main_video",
    "names_of",
    "serial_decode",
    "serial_frames",
    "stamps_of",
    "video_packets",
]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for module in (coding, containers, crafted, faces, broken)
    for recipe in module.RECIPES
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialFrame:
    """One displayed frame of a serial decode."""

    pts: int | None
    time_s: Fraction | None
    """Exact time in seconds."""
    md5: str
    """Of all samples without padding, preceded by size and pixel format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPacket:
    """One packet of an audio stream."""

    time_s: Fraction | None
    md5: str


def names_of(kind: Kind) -> list[str]:
    """Names of all files of a kind, for parametrised tests."""
    return [recipe.name for recipe in RECIPES.values() if recipe.kind is kind]


def main_video(container: av.container.InputContainer) -> av.VideoStream:
    """The largest video stream that is no attached picture and no track of a few stills."""
    found = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    most = max(s.frames for s in found)
    found = [s for s in found if 2 * s.frames >= most]
    return max(found, key=lambda s: s.codec_context.width * s.codec_context.height)


def serial_decode(path: Path) -> Iterator[av.VideoFrame]:
    """All displayed frames of the main video, decoded in order by one thread."""
    with av.open(str(path)) as container:
        stream = main_video(container)
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def serial_frames(path: Path) -> list[SerialFrame]:
    """What a serial decode shows: the reference of every equality test."""
    return [
        SerialFrame(
            pts=frame.pts,
            time_s=None
            if frame.pts is None or frame.time_base is None
            else frame.pts * frame.time_base,
            md5=frame_md5(frame),
        )
        for frame in serial_decode(path)
    ]


def stamps_of(path: Path) -> list[int]:
    """Numbers that the displayed frames carry, in display order."""
    return [read_stamp(frame) for frame in serial_decode(path)]


def video_packets(path: Path) -> list[av.Packet[av.VideoStream]]:
    """Packets of the main video with data, in file order."""
    with av.open(str(path)) as container:
        return [p for p in container.demux(main_video(container)) if p.size]


def audio_packets(path: Path) -> list[list[AudioPacket]]:
    """Packets of every audio stream, in file order."""
    with av.open(str(path)) as container:
        tracks: dict[int, list[AudioPacket]] = {s.index: [] for s in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if tracks else ():
            if packet.size:
                time_s = None if packet.pts is None else packet.pts * packet.time_base
                md5 = hashlib.md5(bytes(packet)).hexdigest()
                tracks[packet.stream_index].append(AudioPacket(time_s=time_s, md5=md5))
        return list(tracks.values())


def frame_md5(frame: av.VideoFrame) -> str:
    """Digest of all samples of a frame without padding, with its size and pixel format."""
    digest = hashlib.md5(f"{frame.width}x{frame.height} {frame.format.name} ".encode())
    for index, plane in enumerate(frame.planes):
        lines = np.asarray(memoryview(plane))
        if plane.line_size:
            lines = lines.reshape(plane.height, plane.line_size)[:, : _row_bytes(frame, index)]
        digest.update(lines.tobytes())
    return digest.hexdigest()


def _row_bytes(frame: av.VideoFrame, plane: int) -> int:
    """Bytes of one row of a plane that belong to the picture."""
    planes = [c.plane for c in frame.format.components]
    if max(planes) == 0:
        return -(-frame.width * frame.format.padded_bits_per_pixel // 8)
    sample_bytes = 1 if frame.format.components[0].bits <= 8 else 2
    return frame.planes[plane].width * planes.count(plane) * sample_bytes
