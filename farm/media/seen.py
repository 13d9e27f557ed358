"""What an encoder was given, in few bytes per picture, to see whether its packets show just that.

Encoders die in silence: they return green or black pictures and no error. Not for: judging
quality, or the finished file (`farm.media.verify_pictures`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from av.video.frame import VideoFrame

from farm.errors import ChunkError, EncoderError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import ChunkHeader, EncodedPacket
from farm.media.signature import (
    SIGNATURE_BYTES,
    component_signatures,
    picture_md5,
    signature_distance,
)

_WORST_CELL = 64
_MEAN_CELL = 24.0
"""How far a component may be off where quality is low, in 8-bit steps: worst cell and mean."""


class SeenPictures:
    """Keeps what pictures looked like until they are checked, in display order."""

    def __init__(self) -> None:
        self._seen: list[bytes] = []

    def add(self, frame: VideoFrame) -> None:
        """Remember the next picture as it is handed to the encoder."""
        self.add_signatures(component_signatures(frame))

    def add_signatures(self, signatures: bytes) -> None:
        """Remember the next picture by its signatures."""
        self._seen.append(signatures)

    def signatures(self, count: int) -> bytes:
        """The 64 bytes of luma means of each of the first pictures."""
        return b"".join(each[:SIGNATURE_BYTES] for each in self._seen[:count])

    def forget(self, count: int) -> None:
        """Let go of the first pictures, whose packets are checked and written."""
        del self._seen[:count]

    def check(self, header: ChunkHeader, packets: Sequence[EncodedPacket], *, every: bool) -> str:
        """Decode packets and compare them with what the encoder was given.

        Args:
            header: Of the chunk.
            packets: In decode order, the first one a keyframe.
            every: Whether each picture is looked at, and not only the first.

        Returns:
            The hash of the first picture as it decodes by itself.

        Raises:
            EncoderError: They show something else, or do not decode.
        """
        try:
            first = self._checked(header, decode_packets(packets[:1], header), 1)
            if every and header.frame_count > 1:
                self._checked(header, decode_packets(packets, header, threads=0), len(packets))
        except EncoderError:
            raise
        except ChunkError as error:
            raise EncoderError(
                f"{header.encoder} runs, but what it makes does not decode: {error.message}"
            ) from error
        return first

    def _checked(self, header: ChunkHeader, frames: Iterable[VideoFrame], due: int) -> str:
        """Compare frames with the first `due` pictures; the hash of the first one."""
        first, count = "", 0
        for frame in frames:
            if count >= due:
                break
            if _differ(self._seen[count], component_signatures(frame)):
                raise EncoderError(
                    f"chunk {header.chunk_index:05d}: {header.encoder} runs, but frame "
                    f"{header.frame_start + count} does not show what it was given; "
                    "choose another --video-encoder"
                )
            first = first or picture_md5(frame)
            count += 1
        if count < due:
            raise EncoderError(
                f"chunk {header.chunk_index:05d}: {header.encoder} runs, but only {count} of {due} "
                "frames came back; choose another --video-encoder"
            )
        return first


def _differ(given: bytes, shown: bytes) -> bool:
    """Whether two pictures are not the same, in any component that both have."""
    both = min(len(given), len(shown))
    for at in range(0, both, SIGNATURE_BYTES):
        part = slice(at, at + SIGNATURE_BYTES)
        worst, mean = signature_distance(given[part], shown[part])
        if worst > _WORST_CELL or mean > _MEAN_CELL:
            return True
    return False
