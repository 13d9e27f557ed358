"""Packet blocks: the bytes of neighbouring packets, as they are shipped to workers.

Not for: what the packets mean (`farm.media.index`) or decoding them (`farm.media.decode`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream
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

    def packets(self, start: int, stop: int) -> Iterator[tuple[int, Packet]]:
        """Yield (number, packet) of those in `start` to `stop`, ready for a decoder.

        The packet's pts is its number, so that the frame which comes out of it can be told.
        """
        offset = 0
        for i, size in enumerate(self.sizes):
            number = self.start + i
            if start <= number < stop:
                yield number, self._packet(i, number, self.data[offset : offset + size])
            offset += size

    def _packet(self, i: int, number: int, data: bytes) -> Packet:
        packet = make_packet(data)
        packet.pts = number
        packet.is_keyframe = self.keyframes[i]
        for kind, payload in self.side_data.get(number, ()):
            packet.set_sidedata(_make_side_data(kind, payload))
        return packet


def make_packet(data: bytes) -> Packet[Stream]:
    """Make a packet that owns a copy of `data`.

    `Packet(data)` would refer to the Python object: a decoder thread that lets go of such a packet needs the
    interpreter lock, and closing the decoder holds that lock while it waits for the thread.
    """
    packet: Packet[Stream] = Packet(len(data))
    packet.update(data)
    return packet


def block_bounds(index: VideoIndex) -> NDArray[np.int64]:
    """Return [m + 1] packet numbers at which blocks begin: at keyframes, and inside long GOPs."""
    bounds = [0]
    size = 0
    for number in range(len(index)):
        full = size >= BLOCK_BYTES or number - bounds[-1] >= BLOCK_PACKETS
        if number > bounds[-1] and (full or index.keyframes[number]):
            bounds.append(number)
            size = 0
        size += int(index.sizes[number])
    return np.array([*bounds, len(index)], dtype=np.int64)


class PacketReader:
    """Reads packet blocks from the file, in order at full speed, backwards by starting again.

    Use as a context manager, or call `close`.
    """

    def __init__(self, index: VideoIndex) -> None:
        self.index = index
        self.bounds = block_bounds(index)
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet] = iter(())
        self._next = 0

    def __enter__(self) -> PacketReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

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
        if self._container is None or start < self._next:
            self._rewind()
        packets = []
        while self._next < stop:
            packet = self._take()
            if self._next > start:
                packets.append(packet)
        return _block(start, packets)

    def _rewind(self) -> None:
        self.close()
        self._container = open_container(self.index.path)
        self._packets = video_packets(self._container, self.index.stream_index)
        self._next = 0

    def _take(self) -> Packet:
        """Return the next packet, checked against the index."""
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as error:
            raise MediaError(f"{self.index.path}: reading stopped ({error.strerror})") from error
        if packet is None or packet.size != self.index.sizes[self._next]:
            raise MediaError(f"{self.index.path}: changed while it was rendered; run the command again")
        self._next += 1
        return packet


def _block(start: int, packets: list[Packet]) -> PacketBlock:
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


def _side_data(packet: Packet) -> tuple[tuple[str, bytes], ...]:
    """Return the side data that changes how a packet decodes."""
    found: list[tuple[str, bytes]] = []
    data: PacketSideData
    for data in packet.iter_sidedata():
        if data.data_type in _DECODER_SIDE_DATA:
            found.append((data.data_type, bytes(data)))
    return tuple(found)
