"""A rendered job in small, for the tests of the finishing side: source, chunks, plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from farm.media.chunk_file import ChunkHeader, EncodedPacket, write_chunk
from farm.media.encode import ChunkEncoder, chunk_header
from farm.media.encoders import EncoderChoice
from farm.media.final import FinishRequest
from farm.media.planes import plane_lines
from farm.media.stream import StreamParameters
from farm.media.timing import FrameTimes

WIDTH, HEIGHT = 96, 64
RATE = Fraction(30000, 1001)
VFR_STEPS = (1001, 1001, 3003, 1001, 2002)


def picture(number: int, pix_fmt: str = "yuv420p") -> VideoFrame:
    """A frame that differs everywhere from its neighbours, with some detail."""
    frame = VideoFrame(WIDTH, HEIGHT, pix_fmt)
    wide = "10le" in pix_fmt
    for plane in range(len(frame.planes)):
        lines = plane_lines(frame, plane)
        samples: Any = lines.view(np.uint16) if wide else lines
        ramp = np.arange(samples.shape[1])[None, :] * 3 + np.arange(samples.shape[0])[:, None] * 5
        samples[:] = (ramp + number * 23 + plane * 40) % (1024 if wide else 256)
    return frame


def times(count: int) -> FrameTimes:
    """Variable frame rate in a time base of 1/30000, from 0."""
    steps = np.resize(np.array(VFR_STEPS, dtype=np.int64), count)
    pts = np.concatenate([[0], np.cumsum(steps)[:-1]]).astype(np.int64)
    return FrameTimes(time_base=Fraction(1, 30000), pts=pts, durations=steps)


def parameters(pix_fmt: str = "yuv420p", **changes: Any) -> StreamParameters:
    base = StreamParameters(
        codec="ffv1",
        codec_tag="",
        profile=None,
        width=WIDTH,
        height=HEIGHT,
        pix_fmt=pix_fmt,
        time_base=Fraction(1, 30000),
        frame_rate=RATE,
    )
    return replace(base, **changes)


def make_source(
    path: Path, count: int, *, pix_fmt: str = "yuv420p", audio_start_s: float | None = None
) -> Path:
    """A lossless source with the pictures and times above, and perhaps a tone."""
    plan = times(count)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264" if path.suffix == ".ts" else "ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pix_fmt
        video.time_base = video.codec_context.time_base = plan.time_base
        sound: Any = None
        if audio_start_s is not None:
            sound = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(count):
            frame = picture(number, pix_fmt)
            frame.time_base, frame.pts = plan.time_base, int(plan.pts[number])
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            _add_tone(container, sound, float(plan.seconds(count - 1)), audio_start_s or 0.0)
    return path


def _add_tone(container: Any, sound: Any, seconds: float, start_s: float) -> None:
    start = round(start_s * 48000)
    for at in range(0, max(1, int(seconds * 48000)), 1024):
        wave = (np.sin((np.arange(1024) + at) * 0.06) * 0.3).astype(np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, start + at
        frame.time_base = Fraction(1, 48000)
        container.mux(sound.encode(frame))
    container.mux(sound.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One chunk before it is written."""

    header: ChunkHeader
    packets: tuple[EncodedPacket, ...]


def encode_chunk(
    choice: EncoderChoice, stream: StreamParameters, index: int, start: int, count: int
) -> Encoded:
    """Encode pictures `start` to `start + count`."""
    encoder = ChunkEncoder(choice, stream)
    packets: list[EncodedPacket] = []
    for number in range(count):
        packets += encoder.encode(picture(start + number, stream.pix_fmt), number)
    packets += encoder.flush()
    fields = {
        "chunk_index": index,
        "frame_start": start,
        "frame_count": count,
        "fingerprint": "job",
    }
    header = chunk_header(encoder, choice, stream, packets, fields)
    return Encoded(header=header, packets=tuple(packets))


def write_chunks(
    folder: Path, choice: EncoderChoice, stream: StreamParameters, sizes: tuple[int, ...]
) -> tuple[Path, ...]:
    """Chunk files of these many frames each, in order."""
    folder.mkdir(exist_ok=True)
    paths, start = [], 0
    for index, count in enumerate(sizes):
        chunk = encode_chunk(choice, stream, index, start, count)
        path = folder / f"{index:05d}.chunk"
        write_chunk(path, chunk.header, chunk.packets)
        paths.append(path)
        start += count
    return tuple(paths)


def request_for(
    tmp_path: Path,
    source: Path,
    choice: EncoderChoice,
    paths: tuple[Path, ...],
    count: int,
    **changes: Any,
) -> FinishRequest:
    fields: dict[str, Any] = {
        "source": source,
        "video_stream_index": 0,
        "output": tmp_path / "out.mp4",
        "chunk_paths": paths,
        "stream": parameters(choice.pix_fmt),
        "times": times(count),
        "encoder": choice,
        "work_dir": paths[0].parent,
    }
    return FinishRequest(**(fields | changes))


def shown(path: Path) -> list[tuple[Fraction, bytes]]:
    """Every frame that a player shows: seconds and samples."""
    with av.open(str(path)) as container:
        found = []
        frame: Any
        for frame in container.decode(container.streams.video[0]):
            samples = frame.to_ndarray().tobytes()
            found.append((frame.pts * Fraction(frame.time_base), samples))
        return found


def pictures(count: int, pix_fmt: str = "yuv420p") -> list[bytes]:
    return [picture(number, pix_fmt).to_ndarray().tobytes() for number in range(count)]
