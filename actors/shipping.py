"""Shipping packet blocks: each goes into the object store once, and leaves it when nobody needs it.

Not for: reading the file (`farm.media.packets`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from farm.media.packets import PacketBlock, PacketReader


class PacketShipper:
    """Keeps the references of blocks that chunks in flight use, and some more, by bytes."""

    def __init__(
        self,
        reader: PacketReader,
        put: Callable[[PacketBlock], Any],
        spare_bytes: int,
        most_bytes: int | None = None,
    ) -> None:
        """Take an open reader.

        Args:
            reader: Reads blocks; the caller closes it.
            put: Puts a block into the store and returns its reference.
            spare_bytes: How much may stay in the store that no chunk in flight uses.
            most_bytes: What `has_room` counts against; None for no limit.
        """
        self._reader = reader
        self._put = put
        self._spare_bytes = spare_bytes
        self._most_bytes = most_bytes
        self._held: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._users: dict[int, set[int]] = {}

    def ship(self, token: int, packet_start: int, packet_stop: int) -> list[tuple[int, Any]]:
        """Return (first packet, reference) of the blocks that hold these packets.

        They stay in the store until `release(token)`.
        """
        shipped = []
        for number in self._reader.blocks_of(packet_start, packet_stop):
            if number not in self._held:
                block = self._reader.read(number)
                self._held[number] = (self._put(block), len(block.data))
            self._held.move_to_end(number)
            self._users.setdefault(number, set()).add(token)
            shipped.append((int(self._reader.bounds[number]), self._held[number][0]))
        self._forget()
        return shipped

    def has_room(self, packet_start: int, packet_stop: int) -> bool:
        """Tell whether the blocks with these packets fit into what the store may hold."""
        if self._most_bytes is None:
            return True
        bounds, sizes = self._reader.bounds, self._reader.index.sizes
        new = [n for n in self._reader.blocks_of(packet_start, packet_stop) if n not in self._held]
        more = sum(int(sizes[bounds[n] : bounds[n + 1]].sum()) for n in new)
        used = sum(size for n, (_, size) in self._held.items() if self._users.get(n))
        return used + more <= self._most_bytes

    def release(self, token: int) -> None:
        """Let go of the blocks of an attempt that has ended."""
        for users in self._users.values():
            users.discard(token)
        self._forget()

    @property
    def held_bytes(self) -> int:
        """How much lies in the store."""
        return sum(size for _, size in self._held.values())

    def _forget(self) -> None:
        """Drop unused blocks, the longest unused first, down to the spare bytes."""
        spare = [n for n in self._held if not self._users.get(n)]
        size = sum(self._held[n][1] for n in spare)
        for number in spare:
            if size <= self._spare_bytes:
                break
            size -= self._held.pop(number)[1]
            self._users.pop(number, None)
