"""Encoding the whole video in one stream, from lossless chunk files.

The second way to finish: rate control sees everything at once, at the price of one encoder. What it
makes is cut at its own keyframes into chunk files again, so that memory stays bounded and joining
and verifying are the same for both ways. Not for: joining (`farm.media.join`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from av.video.frame import VideoFrame

from farm.errors import ChunkError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import ChunkHeader, EncodedPacket, read_packets, write_chunk
from farm.media.encode import DEFAULT_RATE, ChunkEncoder, FrameEncoder, chunk_header
from farm.media.encoders import EncoderChoice
from farm.media.ffmpeg import find_ffmpeg
from farm.media.join import Chunk
from farm.media.program_encode import PROGRAM_PASSES, ProgramEncoder, ProgramPass
from farm.media.stream import StreamParameters

Progress = Callable[[int, int], None]
_LEAST_FRAMES = 48
"""Frames of the shortest part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeOrder:
    """What is to be made of all chunks together."""

    folder: Path
    """Where the parts are written, and what a first pass notes."""
    choice: EncoderChoice
    stream: StreamParameters
    """The stream of the output."""
    total: int
    """Frames of all chunks."""
    ffmpeg: Path | None = None
    """The program, where one does the two passes; None for the bundled one."""


def encode_whole(
    chunks: Iterable[Chunk], order: WholeOrder, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Decode lossless chunks and encode all their frames in one stream, cut at its keyframes.

    Args:
        chunks: In order, without gaps; may still be rendered while the first ones are encoded.
        order: What is to be made of them.
        progress: Called with frames done and frames in all, in each pass.

    Raises:
        ChunkError: a chunk does not decode to its frames.
        EncoderError: the encoder broke.
    """
    if not order.choice.two_pass:
        return _encode(chunks, order, None, progress)
    seen: list[Chunk] = []
    _look(chunks, order, seen, progress)
    return _encode(seen, order, 2, progress)


def _look(
    chunks: Iterable[Chunk], order: WholeOrder, seen: list[Chunk], progress: Progress | None
) -> None:
    """The first of two passes, which takes down what the second one reads; notes the chunks."""
    encoder, count = None, 0
    try:
        for chunk in chunks:
            seen.append(chunk)
            encoder = encoder or _open(chunk, order, 1)
            for frame in _frames(chunk):
                encoder.encode(frame, count)
                encoder.seen.forget(1)
                count += 1
                if progress is not None:
                    progress(count, order.total)
        if encoder is not None:
            deque(encoder.flush(), maxlen=0)
    finally:
        if encoder is not None:
            encoder.close()


def passed(choice: EncoderChoice, number: int, notes: Path) -> EncoderChoice:
    """The choice for one of two passes; the first writes notes, the second reads them.

    Source: the options `pass` and `stats` of x264 and x265, and `stats` of libavcodec's wrapper.
    """
    options = dict(choice.options)
    params = f"{choice.encoder}-params".removeprefix("lib")
    options[params] = f"{options[params]}:pass={number}"
    if choice.encoder == "libx265":
        escaped = re.sub(r"([\\':=])", r"\\\1", str(notes))
        options[params] += f":stats={escaped}"
    else:
        options["stats"] = str(notes)
    return replace(choice, options=tuple(sorted(options.items())))


def _encode(
    chunks: Iterable[Chunk],
    order: WholeOrder,
    number: int | None,
    progress: Progress | None,
) -> tuple[Path, ...]:
    """Encode all frames and write the parts, in pass `number`, None for the only one."""
    parts, done = None, 0
    try:
        for chunk in chunks:
            parts = parts or _Parts(order, _open(chunk, order, number), chunk.header.fingerprint)
            for frame in _frames(chunk):
                parts.add(parts.encoder.encode(frame, done))
                done += 1
                if progress is not None:
                    progress(done, order.total)
        if parts is None:
            return ()
        parts.add(parts.encoder.flush())
        return parts.close()
    finally:
        if parts is not None:
            parts.encoder.close()


def _open(chunk: Chunk, order: WholeOrder, number: int | None) -> FrameEncoder:
    """Open the encoder of a pass for frames as the first chunk gives them."""
    stream, choice = _decoded(order.stream, chunk.header), order.choice
    if number is None:
        return ChunkEncoder(choice, stream, order.stream.frame_rate)
    notes = order.folder / "passes.log"
    if choice.encoder in PROGRAM_PASSES:
        which = ProgramPass(number=number, binary=find_ffmpeg(order.ffmpeg), notes=notes)
        return ProgramEncoder(choice, stream, order.stream.frame_rate or DEFAULT_RATE, which)
    return ChunkEncoder(passed(choice, number, notes), stream, order.stream.frame_rate)


def _frames(chunk: Chunk) -> Iterator[VideoFrame]:
    """All frames of a chunk, decoded on as many threads as help."""
    count = 0
    for frame in decode_packets(read_packets(chunk.path), chunk.header, threads=0):
        count += 1
        yield frame
    if count != chunk.header.frame_count:
        raise ChunkError(
            f"{chunk.path}: {count} of {chunk.header.frame_count} frames decode; "
            "delete it and run the command again"
        )


class _Parts:
    """Writes what the encoder makes as chunk files, each from a keyframe to before another."""

    def __init__(self, order: WholeOrder, encoder: FrameEncoder, fingerprint: str) -> None:
        self.encoder = encoder
        self._order = order
        self._fingerprint = fingerprint
        self._start = 0
        self._pending: list[EncodedPacket] = []
        self._paths: list[Path] = []

    def add(self, packets: Iterable[EncodedPacket]) -> None:
        for packet in packets:
            if packet.is_keyframe and self._is_complete(packet):
                self._write()
            self._pending.append(packet)

    def close(self) -> tuple[Path, ...]:
        """Write the last part; the paths of all."""
        if self._pending:
            self._write()
        return tuple(self._paths)

    def _is_complete(self, keyframe: EncodedPacket) -> bool:
        """Whether what is held is whole: nothing before the keyframe is shown after it."""
        count = len(self._pending)
        return (
            count >= _LEAST_FRAMES
            and keyframe.frame == self._start + count
            and all(each.frame < keyframe.frame for each in self._pending)
        )

    def _write(self) -> None:
        start, count = self._start, len(self._pending)
        packets = [replace(each, frame=each.frame - start) for each in self._pending]
        fields = {
            "chunk_index": len(self._paths),
            "frame_start": start,
            "frame_count": count,
            "fingerprint": self._fingerprint,
        }
        order = self._order
        header = chunk_header(self.encoder, order.choice, order.stream, packets, fields)
        self.encoder.seen.forget(count)
        path = order.folder / f"final-{len(self._paths):05d}.chunk"
        write_chunk(path, header, packets)
        self._paths.append(path)
        self._start, self._pending = start + count, []


def _decoded(stream: StreamParameters, head: ChunkHeader) -> StreamParameters:
    """The stream as the intermediates decode: formats that say full range by name lose it there."""
    color = replace(stream.color, range=2) if stream.pix_fmt.startswith("yuvj") else stream.color
    return replace(stream, pix_fmt=head.pix_fmt, color=color)
