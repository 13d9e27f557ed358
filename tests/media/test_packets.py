"""Packet blocks: the same bytes as in the file, wherever reading begins."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import MediaError
from farm.media.index import build_index
from farm.media.packets import BLOCK_BYTES, BLOCK_PACKETS, PacketReader, block_bounds
from tests.media_maker import Kind, Studio, names_of, video_packets
from tests.scheduler.made_up import made_up_index


@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_blocks_hold_the_bytes_and_flags_of_every_packet(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    with PacketReader(build_index(path)) as reader:
        blocks = [reader.read(block) for block in range(len(reader.bounds) - 1)]
    shipped = [pair for block in blocks for pair in block.packets(0, 10**9)]
    assert [number for number, _ in shipped] == list(range(len(shipped)))
    for (number, packet), original in zip(shipped, video_packets(path), strict=True):
        assert bytes(packet) == bytes(original)
        assert (packet.pts, packet.is_keyframe) == (number, original.is_keyframe)


def test_a_palette_travels_with_its_packet(media_studio: Studio) -> None:
    path = media_studio.folder / "palette.avi"
    media_studio.ffmpeg(
        "-i", media_studio.path("palette.mkv"), "-c:v", "rawvideo", "-pix_fmt", "pal8", path
    )
    with PacketReader(build_index(path)) as reader:
        block = reader.read(0)
    assert [kind for kind, _ in block.side_data[0]] == ["palette"]
    assert next(iter(block.packets(0, 1)))[1].has_sidedata("palette")


def test_reading_backwards_and_in_turns_gives_the_same_blocks(media_studio: Studio) -> None:
    index = build_index(media_studio.path("hevc_open_gop.mp4"))
    with PacketReader(index) as reader:
        count = len(reader.bounds) - 1
        forward = [reader.read(block).data for block in range(count)]
        backward = [reader.read(block).data for block in reversed(range(count))]
    assert forward == backward[::-1]
    with PacketReader(index, cursors=2) as reader:
        order = [0, 3, 1, 4, 2, 0]
        assert [reader.read(block).data for block in order] == [forward[block] for block in order]


def test_blocks_of_a_range_hold_all_its_packets(media_studio: Studio) -> None:
    with PacketReader(build_index(media_studio.path("h264_open_gop.mp4"))) as reader:
        for start in range(60):
            for stop in range(start + 1, 61):
                blocks = reader.blocks_of(start, stop)
                assert reader.bounds[blocks[0]] <= start
                assert reader.bounds[blocks[-1] + 1] >= stop
                assert reader.bounds[blocks[-1]] < stop


def test_a_file_that_changes_while_it_is_read_is_noticed(media_studio: Studio) -> None:
    index = build_index(media_studio.path("plain.mp4"))
    other = replace(index, path=media_studio.path("h264_open_gop.mp4"))
    with PacketReader(other) as reader, pytest.raises(MediaError, match="changed"):
        reader.read(0)


@given(sizes=st.lists(st.integers(1, BLOCK_BYTES), min_size=1, max_size=600), data=st.data())
def test_blocks_begin_at_keyframes_and_are_bounded(sizes: list[int], data: st.DataObject) -> None:
    keys = sorted(data.draw(st.sets(st.integers(0, len(sizes) - 1), max_size=9)))
    index = made_up_index([0] * len(sizes), keys, sizes=sizes)
    bounds = block_bounds(index)
    assert bounds[0] == 0
    assert bounds[-1] == len(sizes)
    assert (np.diff(bounds) > 0).all()
    assert set(keys) <= set(bounds.tolist())
    for start, stop in pairwise(bounds.tolist()):
        assert stop - start <= BLOCK_PACKETS
        assert sum(sizes[start : stop - 1]) < BLOCK_BYTES
