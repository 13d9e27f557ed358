from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actors.shipping import PacketShipper
from farm.media.packets import PacketBlock, PacketReader
from tests.media_maker import Studio
from tests.rendering import job_for


class Store:
    """Counts what is put into it."""

    def __init__(self) -> None:
        self.put_starts: list[int] = []

    def put(self, block: PacketBlock) -> str:
        self.put_starts.append(block.start)
        return f"ref {block.start}"


@pytest.fixture
def reader(media_studio: Studio, tmp_path: Path) -> Iterator[PacketReader]:
    index = job_for(media_studio.path("plain.mp4"), tmp_path).index
    keyframes = np.zeros(len(index), dtype=np.bool_)
    keyframes[::15] = True
    with PacketReader(replace(index, keyframes=keyframes)) as opened:
        yield opened


def test_a_block_goes_into_the_store_once_for_all_chunks(reader: PacketReader) -> None:
    store = Store()
    shipper = PacketShipper(reader, store.put, 1 << 20)
    assert shipper.ship(0, 0, 20) == [(0, "ref 0"), (15, "ref 15")]
    assert shipper.ship(1, 16, 31) == [(15, "ref 15"), (30, "ref 30")]
    assert store.put_starts == [0, 15, 30]


def test_blocks_of_chunks_in_hand_stay_whatever_they_weigh(reader: PacketReader) -> None:
    store = Store()
    shipper = PacketShipper(reader, store.put, 0)
    shipper.ship(0, 0, 60)
    shipper.ship(1, 0, 60)
    shipper.release(0)
    shipper.ship(1, 0, 60)
    assert store.put_starts == [0, 15, 30, 45]


def test_blocks_that_nobody_needs_leave_the_store(reader: PacketReader) -> None:
    store = Store()
    shipper = PacketShipper(reader, store.put, 0)
    for chunk in range(4):
        shipper.ship(chunk, 15 * chunk, 15 * chunk + 15)
        assert shipper.held_bytes == reader.index.sizes[15 * chunk : 15 * chunk + 15].sum()
        shipper.release(chunk)
        assert shipper.held_bytes == 0
    shipper.ship(4, 0, 15)
    assert store.put_starts == [0, 15, 30, 45, 0]


def test_spare_bytes_keep_the_blocks_used_last(reader: PacketReader) -> None:
    store = Store()
    spare = int(reader.index.sizes[15:45].sum())
    shipper = PacketShipper(reader, store.put, spare)
    shipper.ship(0, 0, 45)
    shipper.release(0)
    assert shipper.held_bytes <= spare
    shipper.ship(1, 15, 45)
    assert store.put_starts == [0, 15, 30]
    shipper.ship(2, 0, 15)
    assert store.put_starts == [0, 15, 30, 0]
