"""Packet blocks: the bytes of neighbouring packets, as they are shipped to workers.

Not for: what the packets mean (`farm.media.index`) or decoding them (`farm.media.decode`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.index import VideoIndex, video_packets
from farm.media.probe import open_container

BLOCK_PACKETS = 256
BLOCK_BYTES = 8 << 20
_DECODER_SIDE_DATA = frozenset(
    {"palette", "new_extradata", "param_change", "matroska_block_additional", "skip_samples"}
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PacketBlock:
    """Consecutive packets of the main stream, in demux order."""

    start: int
    """Number of the first packet."""
    data: bytes
    """All packets, one behind the other."""
    sizes: tuple[int, ...]
    keyframes: tuple[bool, ...]
    side_data: dict[int, tuple[tuple[str, bytes], ...]]
    """By packet number: what a decoder must be told with the packet."""

    @property
    def stop(self) -> int:
        """Number after the last packet."""
        return self.start + len(self.sizes)

    def packets(self, start: int, stop: int) -> Iterator[tuple[int, Packet[Any]]]:
        """Yield (number, packet) of those in `start` to `stop`, ready for a decoder.

        The packet's pts is its number, so that the frame which comes out of it can be told.
        """
        offset = 0
        for i, size in enumerate(self.sizes):
            number = self.start + i
            if start <= number < stop:
                yield number, self._packet(i, number, self.data[offset : offset + size])
            offset += size

    def _packet(self, i: int, number: int, data: bytes) -> Packet[Any]:
        packet = make_packet(data)
        packet.pts = number
        packet.is_keyframe = self.keyframes[i]
        for kind, payload in self.side_data.get(number, ()):
            packet.set_sidedata(_make_side_data(kind, payload))
        return packet


def make_packet(data: bytes) -> Packet[Any]:
    """Make a packet that owns a copy of `data`.

    `Packet(data)` would refer to the Python object: a decoder thread that lets go of such a packet
    needs the interpreter lock, and closing the decoder holds that lock while it waits for that
    thread.
    """
    packet: Packet[Any] = Packet(len(data))
    packet.update(data)
    return packet


def block_bounds(index: VideoIndex) -> NDArray[np.int64]:
    """Return [m + 1] packet numbers at which blocks begin: at keyframes, and inside long GOPs."""
    count = len(index)
    ends = np.cumsum(index.sizes)
    keys = np.append(np.flatnonzero(index.keyframes), count)
    bounds = [0]
    while bounds[-1] < count:
        start = bounds[-1]
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + BLOCK_BYTES)) + 1
        key = int(keys[np.searchsorted(keys, start, side="right")])
        bounds.append(min(full, start + BLOCK_PACKETS, key, count))
    return np.array(bounds, dtype=np.int64)


class _Cursor:
    """One reading of the file, which only goes forward."""

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        self._container = open_container(index.path)
        self._packets = video_packets(self._container, index.stream_index)
        self.next = 0
        """Number of the packet that comes next."""

    def take(self) -> Packet[Any]:
        """Return the next packet, checked against the index."""
        path = self._index.path
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as error:
            raise MediaError(f"{path}: reading stopped ({error.strerror}); try again") from error
        if packet is None or packet.size != self._index.sizes[self.next]:
            raise MediaError(f"{path}: changed while it was read; run the command again")
        self.next += 1
        return packet

    def close(self) -> None:
        self._container.close()


class PacketReader:
    """Reads packet blocks from the file, in order at full speed.

    A file cannot be entered in the middle without losing count of its packets. So that workers may
    read at several places at once, some readings are kept open; a block that all of them have
    passed costs reading from the start. Use as a context manager, or call `close`.
    """

    def __init__(self, index: VideoIndex, cursors: int = 16) -> None:
        """Take an index; the file is opened when the first block is read.

        Args:
            index: The index of the file.
            cursors: How many places the file may be read at.
        """
        self.index = index
        self.bounds = block_bounds(index)
        self._cursors: list[_Cursor] = []
        self._most = cursors

    def __enter__(self) -> PacketReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        for cursor in self._cursors:
            cursor.close()
        self._cursors.clear()

    def blocks_of(self, packet_start: int, packet_stop: int) -> range:
        """Return the numbers of the blocks that hold these packets."""
        first = int(np.searchsorted(self.bounds, packet_start, side="right")) - 1
        last = int(np.searchsorted(self.bounds, packet_stop, side="left"))
        return range(first, last)

    def read(self, block: int) -> PacketBlock:
        """Read one block.

        Raises:
            MediaError: The file is not the one that was indexed.
        """
        start, stop = int(self.bounds[block]), int(self.bounds[block + 1])
        cursor = self._cursor_before(start)
        while cursor.next < start:
            cursor.take()
        return _block(start, [cursor.take() for _ in range(stop - start)])

    def _cursor_before(self, start: int) -> _Cursor:
        """Return the reading that is nearest before a packet, the one used last at the end."""
        behind = [cursor for cursor in self._cursors if cursor.next <= start]
        if behind:
            cursor = max(behind, key=lambda c: c.next)
            self._cursors.remove(cursor)
        else:
            while len(self._cursors) >= self._most:
                self._cursors.pop(0).close()
            cursor = _Cursor(self.index)
        self._cursors.append(cursor)
        return cursor


def _block(start: int, packets: list[Packet[Any]]) -> PacketBlock:
    """Copy packets into a block."""
    side_data = {start + i: found for i, p in enumerate(packets) if (found := _side_data(p))}
    return PacketBlock(
        start=start,
        data=b"".join(bytes(p) for p in packets),
        sizes=tuple(p.size for p in packets),
        keyframes=tuple(p.is_keyframe for p in packets),
        side_data=side_data,
    )


def _make_side_data(kind: str, payload: bytes) -> PacketSideData:
    """Build side data as libav holds it."""
    number = packet_sidedata_type_from_literal(kind)  # type: ignore[arg-type]
    data = PacketSideData(number, len(payload))  # type: ignore[call-arg]
    data.update(payload)
    return data


def _side_data(packet: Packet[Any]) -> tuple[tuple[str, bytes], ...]:
    """Return the side data that changes how a packet decodes."""
    return tuple(
        (data.data_type, bytes(data))
        for data in packet.iter_sidedata()
        if data.data_type in _DECODER_SIDE_DATA
    )
