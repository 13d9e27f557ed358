"""Checking that the finished file shows the pictures that were encoded.

Timestamps and counts stay right when packets decode with the parameter sets of another encoder:
only pictures tell. Not for: timing (`farm.media.verify`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av

from farm.errors import ChunkError, VerifyError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import ChunkHeader, EncodedPacket
from farm.media.encoders import EncoderChoice
from farm.media.join import Chunk
from farm.media.parameter_sets import split_sets
from farm.media.probe import open_container
from farm.media.signature import (
    SIGNATURE_BYTES,
    picture_md5,
    picture_signature,
    signature_distance,
)

_WORST_CELL = 40
_MEAN_CELL = 12.0
"""How far a lossy picture may be from what was encoded, in 8-bit steps, worst cell and mean."""


class PictureCheck:
    """Decodes the first packet of each chunk out of the finished file, on its own."""

    def __init__(
        self, chunks: tuple[Chunk, ...], first_packets: tuple[int, ...], context: Any
    ) -> None:
        """Prepare for one reading of the file.

        Args:
            chunks: Whose first pictures are looked for.
            first_packets: Number in decode order of each chunk's first packet.
            context: Codec context of the file's stream, for what the container says of it.

        Raises:
            VerifyError: the container holds other parameter sets than the packets.
        """
        self._due = dict(zip(first_packets, chunks, strict=True))
        self._extradata = bytes(context.extradata or b"")
        self._pending = set(first_packets)
        head = chunks[0].header
        inside = split_sets(head.codec, self._extradata)
        due = split_sets(head.codec, head.parameter_sets)
        if inside and due and inside != due:
            raise VerifyError("the output's header holds parameter sets of another encoder")

    def packet(self, number: int, packet: av.Packet[Any]) -> None:
        """Check one packet of the stream, given in decode order.

        Raises:
            VerifyError: it begins a chunk and shows another picture than it did.
        """
        chunk = self._due.get(number)
        if chunk is None:
            return
        self._pending.discard(number)
        header = chunk.header
        seen = EncodedPacket(data=bytes(packet), frame=0, duration=1, is_keyframe=True)
        if _first_md5(seen, replace(header, extradata=self._extradata)) != header.first_picture_md5:
            raise VerifyError(
                f"chunk {header.chunk_index:05d} shows another picture at frame "
                f"{header.frame_start} of the output than the one that was rendered"
            )

    def finish(self) -> None:
        """Check that every chunk was seen.

        Raises:
            VerifyError: the file ended before the last chunk.
        """
        if self._pending:
            raise VerifyError(f"{len(self._pending)} chunks are missing at the end of the output")


def _first_md5(packet: EncodedPacket, header: ChunkHeader) -> str:
    """Hash of the picture of a packet that is decoded by itself; empty when it does not decode."""
    try:
        return next((picture_md5(each) for each in decode_packets([packet], header)), "")
    except ChunkError:
        return ""


def check_every_picture(
    path: Path, index: int, chunks: tuple[Chunk, ...], choice: EncoderChoice
) -> None:
    """Decode the whole file and compare every picture with what was handed to the encoder.

    Lossless pictures have the very same signature; lossy ones stay within 40 steps of 255 in the
    worst of 64 cells, and within 12 on the mean.

    Raises:
        VerifyError: a picture is another one, or does not decode.
    """
    worst, mean = (0, 0.0) if choice.lossless else (_WORST_CELL, _MEAN_CELL)
    due = _signatures(chunks)
    for number, shown in enumerate(_shown(path, index)):
        wanted = next(due, None)
        if wanted is None:
            raise VerifyError("the output shows more frames than were rendered")
        apart = signature_distance(wanted, shown)
        if apart[0] > worst or apart[1] > mean:
            raise VerifyError(
                f"frame {number} of the output is not the picture that was rendered "
                f"(worst of 64 cells {apart[0]} steps off)"
            )
    left = sum(1 for _ in due)
    if left:
        raise VerifyError(f"the last {left} frames of the output do not decode")


def _signatures(chunks: tuple[Chunk, ...]) -> Iterator[bytes]:
    """The 64 bytes of every frame, in display order."""
    parts = (chunk.header.signatures for chunk in chunks)
    return itertools.chain.from_iterable(
        (part[i : i + SIGNATURE_BYTES] for i in range(0, len(part), SIGNATURE_BYTES))
        for part in parts
    )


def _shown(path: Path, index: int) -> Iterator[bytes]:
    """Signatures of all frames that a player shows."""
    with open_container(path) as container:
        stream: Any = container.streams[index]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                yield picture_signature(frame)
        except av.FFmpegError as error:
            raise VerifyError(f"the output does not decode ({error})") from error
