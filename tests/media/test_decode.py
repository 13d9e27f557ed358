"""The core proof of decoding: chunks from shipped packets equal a serial decode, bit for bit."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from farm.errors import MediaError
from farm.media.decode import (
    ChunkDecoder,
    DecoderClosedError,
    DecodeRequest,
    FalseKeyframeError,
    NeedEarlierError,
)
from farm.media.index import VideoIndex, build_index
from farm.media.listing import list_frames
from farm.media.open_decoder import open_decoder
from farm.media.packets import PacketBlock, PacketReader
from farm.media.plan import plan_frames
from scheduler.chunks import Lead
from tests.media.chunk_run import decode_chunks, planned
from tests.media_maker import Kind, Studio, names_of, serial_frames, video_packets
from tests.scheduler.made_up import STREAM

LENGTHS = {"one_frame": 0.001, "third": 0.37, "default": None, "whole": 1e9}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_chunks_decode_to_the_frames_of_a_serial_decode(
    media_studio: Studio, name: str, length: str
) -> None:
    path = media_studio.path(name)
    run = decode_chunks(*planned(path), LENGTHS[length])
    assert run.md5s == [frame.md5 for frame in serial_frames(path)]
    assert run.corrupt == 0
    assert run.orders == run.chunks, "a chunk was ordered more than once"


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize(
    "name", ["h264_open_gop.mp4", "intra_refresh.mp4", "fields.mkv", "vp9_hidden_packets.avi"]
)
def test_several_workers_and_decoder_threads_change_nothing(
    media_studio: Studio, name: str, workers: int
) -> None:
    path = media_studio.path(name)
    run = decode_chunks(*planned(path), 0.001, workers=workers, threads=2)
    assert run.md5s == [frame.md5 for frame in serial_frames(path)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", names_of(Kind.HURT))
def test_all_that_a_serial_decode_shows_of_a_damaged_file_is_there(
    media_studio: Studio, name: str, length: str
) -> None:
    index = replace(build_index(media_studio.path(name)), damage=("known to be damaged",))
    plan = plan_frames(index, list_frames(index))
    run = decode_chunks(index, plan, LENGTHS[length])
    assert None not in run.md5s
    assert len(run.md5s) == len(serial_frames(media_studio.path(name)))


def test_keyframes_that_are_none_are_found_out(media_studio: Studio) -> None:
    """As if the index had not looked into the packets of an intra-refresh stream."""
    path = media_studio.path("intra_refresh.mp4")
    index, plan = planned(path)
    flagged = [packet.is_keyframe for packet in video_packets(path)]
    index.keyframes[:] = flagged
    run = decode_chunks(index, plan, 0.37)
    assert run.md5s == [frame.md5 for frame in serial_frames(path)]
    assert run.orders > run.chunks


def test_missing_keyframe_flags_cost_time_and_no_frame(media_studio: Studio) -> None:
    path = media_studio.path("plain.mp4")
    index, plan = planned(path)
    index.keyframes[1:] = False
    run = decode_chunks(index, plan, 0.37, workers=2)
    assert run.md5s == [frame.md5 for frame in serial_frames(path)]


def _blocks(index: VideoIndex) -> list[PacketBlock]:
    with PacketReader(index) as reader:
        return [reader.read(block) for block in range(len(reader.bounds) - 1)]


def _request(
    wanted: Iterable[int],
    start: int,
    stop: int,
    shipped_from: int | None = None,
    proven: bool = False,
) -> DecodeRequest:
    return DecodeRequest(
        wanted=tuple(wanted),
        packet_start=start,
        packet_stop=stop,
        shipped_from=start if shipped_from is None else shipped_from,
        proven=proven,
    )


def test_decoding_from_inside_a_gop_asks_for_earlier_packets(media_studio: Studio) -> None:
    index = build_index(media_studio.path("plain.mp4"))
    blocks = _blocks(index)
    decoder = ChunkDecoder(index.stream, 1)
    with pytest.raises(NeedEarlierError):
        list(decoder.decode(_request([20], 17, 30), lambda _: blocks))
    assert next(iter(decoder.decode(_request([20], 15, 30), lambda _: blocks))).frame is not None


def test_a_predicted_picture_is_not_taken_for_a_keyframe(media_studio: Studio) -> None:
    index = build_index(media_studio.path("mpeg2.ts"))
    blocks = _blocks(index)
    with pytest.raises((FalseKeyframeError, NeedEarlierError)):
        list(ChunkDecoder(index.stream, 1).decode(_request([5], 4, 20), lambda _: blocks))


def test_a_decoder_that_is_not_open_says_so(media_studio: Studio) -> None:
    index = build_index(media_studio.path("plain.mp4"))
    blocks = _blocks(index)
    with pytest.raises(DecoderClosedError):
        list(ChunkDecoder(index.stream, 1).decode(_request([20], 15, 30, 18), lambda _: blocks))


@pytest.mark.parametrize("lead", [Lead(before=1), Lead(before=7, after=4), Lead(after=12)])
@pytest.mark.parametrize("chunk_seconds", [0.001, 0.2])
def test_frames_that_two_chunks_of_a_lane_want_are_not_decoded_twice(
    media_studio: Studio, chunk_seconds: float, lead: Lead
) -> None:
    path = media_studio.path("one_gop.mp4")
    index, plan = planned(path)
    run = decode_chunks(index, plan, chunk_seconds, lead=lead)
    assert run.chunks > 4
    assert (run.closed, run.lanes) == (0, 1)
    assert run.md5s == [frame.md5 for frame in serial_frames(path)]


def test_an_open_decoder_is_used_only_where_it_is_counted_on(media_studio: Studio) -> None:
    index, plan = planned(media_studio.path("one_gop.mp4"))
    blocks = _blocks(index)
    wanted = plan.packets.tolist()
    decoder = ChunkDecoder(index.stream, 1)
    asked: list[int] = []

    def give(start: int) -> list[PacketBlock]:
        asked.append(start)
        return blocks

    list(decoder.decode(_request(wanted[:10], 0, 40), give))
    list(decoder.decode(_request(wanted[10:20], 0, 40), give))
    list(decoder.decode(_request(wanted[20:30], 0, 60, max(wanted[10:20])), give))
    assert asked[:2] == [0, 0]
    assert asked[2] > max(wanted[10:20])


def test_what_is_lost_for_good_is_said_frame_by_frame(media_studio: Studio) -> None:
    index, plan = planned(media_studio.path("plain.mp4"))
    blocks = _blocks(index)
    request = _request(plan.packets[10:20].tolist(), 0, 8, proven=True)
    frames = list(ChunkDecoder(index.stream, 1).decode(request, lambda _: blocks))
    assert [frame.position for frame in frames] == list(range(10))
    assert frames[-1].frame is None


def test_a_picture_of_another_size_is_refused(media_studio: Studio) -> None:
    index = build_index(media_studio.path("size_changes.ts"))
    blocks = _blocks(index)
    request = _request(range(20, 30), 20, 40, proven=True)
    with pytest.raises(MediaError, match=r"160x96 .* to 96x64"):
        list(ChunkDecoder(index.stream, 1).decode(request, lambda _: blocks))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(MediaError, match="no decoder for abracadabra"):
        open_decoder(replace(STREAM, codec="abracadabra"), 1)
