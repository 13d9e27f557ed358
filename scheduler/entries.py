"""Where the decoding of each chunk begins: from a keyframe that has not proved false.

Not for: who decodes (`scheduler.dispatch`) or decoding (`farm.media.decode`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.chunks import Chunk

_DECODE_TRIES = 2


@dataclass(slots=True)
class _Entry:
    """Where a chunk that gave trouble is decoded from."""

    packet_start: int
    tries: int = 0
    """How often frames were missing although the keyframe was sound."""


class Entries:
    """The keyframes to decode from, for all chunks of a job."""

    def __init__(self, chunks: Sequence[Chunk], keyframes: Sequence[int]) -> None:
        """Believe all keyframes.

        Args:
            chunks: The chunks; they are named by their position here.
            keyframes: Packet numbers of all keyframes of the source, ascending.
        """
        self._chunks = chunks
        self._keyframes = list(keyframes)
        self._false: set[int] = set()
        self._moved: dict[int, _Entry] = {}

    def start(self, position: int) -> tuple[int, bool]:
        """Return the packet to decode from, and whether frames with errors are to be taken."""
        entry = self._moved.get(position)
        packet = self._chunks[position].packet_start if entry is None else entry.packet_start
        if packet in self._false:
            packet = self._before(packet)
            self._entry(position).packet_start = packet
        tries = 0 if entry is None else entry.tries
        return packet, packet == 0 or tries >= _DECODE_TRIES

    def keyframe_false(self, packet: int) -> None:
        """No complete picture came out of this keyframe: nobody decodes from it again."""
        self._false.add(packet)

    def frames_missing(self, position: int) -> bool:
        """Frames did not come out whole although the keyframe was sound.

        One keyframe earlier is tried, then frames with errors are taken, then all is decoded from
        the start of the file, as a player does.

        Returns:
            Whether there is something left to try.
        """
        entry = self._entry(position)
        entry.tries += 1
        if entry.tries < _DECODE_TRIES:
            entry.packet_start = self._before(entry.packet_start)
        elif entry.tries > _DECODE_TRIES:
            if entry.packet_start == 0:
                return False
            entry.packet_start = 0
        return True

    def _entry(self, position: int) -> _Entry:
        start = self._chunks[position].packet_start
        return self._moved.setdefault(position, _Entry(start))

    def _before(self, packet: int) -> int:
        """Return the last believable keyframe before a packet, 0 where there is none."""
        place = bisect_left(self._keyframes, packet) - 1
        while place >= 0 and self._keyframes[place] in self._false:
            place -= 1
        return self._keyframes[place] if place >= 0 else 0
