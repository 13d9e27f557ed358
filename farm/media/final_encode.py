"""Encoding the whole video in one stream, from lossless chunk files.

The second way to finish: rate control sees everything at once, at the price of one encoder. What it
makes is cut at its own keyframes into chunk files again, so that memory stays bounded and joining
and verifying are the same for both ways. Not for: joining (`farm.media.join`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from farm.errors import ChunkError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import ChunkHeader, EncodedPacket, read_packets, write_chunk
from farm.media.encode import ChunkEncoder, chunk_header
from farm.media.encoders import EncoderChoice
from farm.media.join import Chunk
from farm.media.stream import StreamParameters

Progress = Callable[[int, int], None]
_LEAST_FRAMES = 48
"""Frames of the shortest part."""


def encode_whole(
    chunks: tuple[Chunk, ...],
    folder: Path,
    *,
    choice: EncoderChoice,
    stream: StreamParameters,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Decode lossless chunks and encode all their frames in one stream, cut at its keyframes.

    Args:
        chunks: In order, without gaps.
        folder: Where the parts are written.
        choice: The encoder of the output.
        stream: The source's stream.
        progress: Called with frames done and frames in all.

    Raises:
        ChunkError: a chunk does not decode to its frames.
        EncoderError: the encoder broke.
    """
    total = sum(each.header.frame_count for each in chunks)
    encoder = ChunkEncoder(choice, _decoded(stream, chunks[0].header), stream.frame_rate)
    parts = _Parts(folder, encoder, choice, stream, chunks[0].header.fingerprint)
    done = 0
    for chunk in chunks:
        for frame in decode_packets(read_packets(chunk.path), chunk.header):
            parts.add(encoder.encode(frame, done))
            done += 1
            if progress is not None:
                progress(done, total)
        expected = chunk.header.frame_start + chunk.header.frame_count
        if done != expected:
            raise ChunkError(
                f"{chunk.path}: {done} of {expected} frames decode; "
                "delete it and run the command again"
            )
    parts.add(encoder.flush())
    return parts.close()


class _Parts:
    """Writes what the encoder makes as chunk files, each from a keyframe to before another."""

    def __init__(
        self,
        folder: Path,
        encoder: ChunkEncoder,
        choice: EncoderChoice,
        stream: StreamParameters,
        fingerprint: str,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._choice = choice
        self._stream = stream
        self._fingerprint = fingerprint
        self._start = 0
        self._pending: list[EncodedPacket] = []
        self._paths: list[Path] = []

    def add(self, packets: list[EncodedPacket]) -> None:
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
        header = chunk_header(self._encoder, self._choice, self._stream, packets, fields)
        self._encoder.seen.forget(count)
        path = self._folder / f"final-{len(self._paths):05d}.chunk"
        write_chunk(path, header, packets)
        self._paths.append(path)
        self._start, self._pending = start + count, []


def _decoded(stream: StreamParameters, head: ChunkHeader) -> StreamParameters:
    """The stream as the intermediates decode: formats that say full range by name lose it there."""
    color = replace(stream.color, range=2) if stream.pix_fmt.startswith("yuvj") else stream.color
    return replace(stream, pix_fmt=head.pix_fmt, color=color)
