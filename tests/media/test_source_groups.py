"""Which groups of the source an output might keep."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from farm.media.encoders import choose_encoder
from farm.media.index import build_index
from farm.media.plan import plan_frames
from farm.media.source_groups import copy_ranges, lead_frames
from farm.media.source_packets import as_beginning, group_packets
from scheduler.chunks import cut_chunks
from tests.media_maker import Studio

START = b"\0\0\0\1"


def test_leading_pictures_are_shown_before_their_keyframe_and_decoded_behind_it() -> None:
    packets = np.array([0, 1, 2, 3, 5, 6, 4, 7, 8, 9])
    assert lead_frames(packets, np.array([0, 6, 8])).tolist() == [0, 4, 8]


@pytest.mark.parametrize("chunk_seconds", [0.1, 0.25, 10.0])
@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "hevc_open_gop.mp4"])
def test_every_open_group_may_be_copied_however_it_is_cut_into_chunks(
    media_studio: Studio, name: str, chunk_seconds: float
) -> None:
    index = build_index(media_studio.path(name))
    plan = plan_frames(index, None)
    chunks = cut_chunks(index, plan, chunk_seconds, every_group=True)
    spans = [(chunk.frame_start, chunk.frame_stop) for chunk in chunks]
    choice = choose_encoder("libx264" if "264" in name else "libx265", 18, index.stream)[0]
    ranges = copy_ranges(index, plan, choice, index.stream, spans)
    assert [each.packet_stop for each in ranges] == [9, 21, 33, 45, 60]
    assert [each.leading for each in ranges] == [0, 3, 3, 3, 3]
    for before, each in pairwise(ranges):
        assert before.chunk_stop == each.lead_start < each.chunk_start < each.chunk_stop
    assert (ranges[0].chunk_start, ranges[-1].chunk_stop) == (0, len(chunks))
    read = list(group_packets(index.path, index.stream_index, ranges))
    shown = [packet.frame for _, packets in read for packet in packets]
    assert shown == [frame for each in ranges for frame in each.order]
    assert copy_ranges(index, plan, replace(choice, codec="vp9"), index.stream, spans) == ()


def test_an_open_group_of_hevc_begins_a_copy_as_one_that_was_cut_in() -> None:
    sets, cra, trail = b"\x40\x01v", bytes((21 << 1, 1, 0xAF)), bytes((1 << 1, 1, 0xD0))
    packet = START + sets + START + cra
    bla = bytes((18 << 1, 1, 0xAF))
    assert as_beginning("hevc", packet) == START + sets + START + bla
    assert as_beginning("hevc", START + trail) is None


def test_h264_begins_a_copy_with_an_idr_picture_only() -> None:
    idr, recovery = START + b"\x65\x88", START + b"\x06\x06\x01" + START + b"\x41\x9a"
    assert as_beginning("h264", idr) == idr
    assert as_beginning("h264", recovery) is None
