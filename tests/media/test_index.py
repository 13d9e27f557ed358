"""The index: what demuxing alone tells, and whether it can be trusted."""

import av
import numpy as np
import pytest

from farm.errors import MediaError
from farm.media.index import NO_PTS, IndexClass, build_index
from farm.media.keyframes import is_predicted_h264
from farm.media.probe import open_container
from tests.media_maker import Kind, Studio, names_of, video_packets

DISTRUSTED = {
    "interlaced.mp4": "interlaced",
    "fields.mkv": "interlaced",
    "fields.ts": "interlaced",
    "faces_interlaced.mkv": "interlaced",
    "bframes.avi": "no presentation times",
    "rawvideo.avi": "no presentation times",
    "raw.264": "without a pts",
    "vp9_hidden_frames.webm": "may hide frames",
    "vp9_hidden_packets.avi": "may hide frames",
    "odd_420.webm": "may hide frames",
    "edit_list.mp4": "edit list",
    "joined.ts": "restart",
    "starts_inside_gop.ts": "keyframe",
    "skipped_frames.avi": "no presentation times",
}


@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_the_index_holds_every_packet_as_the_demuxer_gives_it(
    media_studio: Studio, name: str
) -> None:
    path = media_studio.path(name)
    index, packets = build_index(path), video_packets(path)
    assert index.pts.tolist() == [NO_PTS if p.pts is None else p.pts for p in packets]
    assert index.dts.tolist() == [NO_PTS if p.dts is None else p.dts for p in packets]
    assert index.sizes.tolist() == [p.size for p in packets]
    assert index.durations.tolist() == [p.duration or 0 for p in packets]
    assert index.discarded.tolist() == [p.is_discard for p in packets]
    assert not index.damage


@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_an_index_is_trusted_unless_there_is_a_reason(media_studio: Studio, name: str) -> None:
    index = build_index(media_studio.path(name))
    expected = DISTRUSTED.get(name)
    assert (index.index_class is IndexClass.UNTRUSTED) == (expected is not None), index.reasons
    assert (expected or "") in "; ".join(index.reasons)


@pytest.mark.parametrize("name", ["truncated.mkv", "truncated_fragmented.mp4"])
def test_a_file_that_is_cut_off_is_said_to_be_damaged(media_studio: Studio, name: str) -> None:
    index = build_index(media_studio.path(name))
    assert index.index_class is IndexClass.UNTRUSTED
    assert len(index.damage) == 1


def test_an_mp4_that_is_cut_off_behind_its_header_is_said_to_be_damaged(
    media_studio: Studio,
) -> None:
    whole = media_studio.folder / "faststart.mp4"
    media_studio.ffmpeg(
        "-i", media_studio.path("plain.mp4"), "-c", "copy", "-movflags", "+faststart", whole
    )
    cut = media_studio.folder / "cut_faststart.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert not build_index(whole).damage
    assert "promises 60 frames" in build_index(cut).damage[-1]


@pytest.mark.parametrize("name", ["ffv1.mkv", "multi.mkv", "bframes.avi"])
def test_a_file_that_ends_between_two_packets_near_its_end_is_said_to_be_damaged(
    media_studio: Studio, name: str
) -> None:
    whole = media_studio.path(name)
    with open_container(whole) as container:
        places = [packet.pos for packet in container.demux() if packet.size]
    cut = media_studio.folder / f"cut_{name}"
    cut.write_bytes(whole.read_bytes()[: places[-2]])
    assert not build_index(whole).damage
    assert "the file says that it is" in " ".join(build_index(cut).damage)


def test_recovery_points_of_intra_refresh_are_no_keyframes(media_studio: Studio) -> None:
    path = media_studio.path("intra_refresh.mp4")
    assert sum(p.is_keyframe for p in video_packets(path)) > 1
    assert np.flatnonzero(build_index(path).keyframes).tolist() == [0]


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "h264.ts", "h264_10bit.mp4", "fields.mkv"])
def test_intra_pictures_that_are_no_idr_stay_keyframes(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    flagged = [p.is_keyframe for p in video_packets(path)]
    assert build_index(path).keyframes.tolist() == flagged


def test_what_cannot_be_read_as_h264_counts_as_not_predicted() -> None:
    for data in (b"", b"\0", b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\x09\xf0", b"\xff" * 40):
        assert not is_predicted_h264(memoryview(data), b"")
        assert not is_predicted_h264(memoryview(data), b"\1\x64\0\x1f\xff")
    assert is_predicted_h264(memoryview(b"\0\0\1\x41\xe0\0\0"), b"")


def test_a_stream_other_than_the_main_one_can_be_indexed(media_studio: Studio) -> None:
    index = build_index(media_studio.path("thumbnail_first.mp4"), 0)
    assert (index.stream_index, len(index)) == (0, 5)


def test_sound_alone_has_no_index(media_studio: Studio) -> None:
    with pytest.raises(MediaError):
        build_index(media_studio.path("sound_only.mp4"))


@pytest.mark.long
def test_three_hours_are_indexed_with_little_memory(media_studio: Studio) -> None:
    path = media_studio.folder / "three_hours.mp4"
    source = video_packets(media_studio.path("plain.mp4"))
    span = sum(p.duration or 0 for p in source)
    with av.open(str(media_studio.path("plain.mp4"))) as plain, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(plain.streams.video[0])
        for turn in range(5400):
            for old in source:
                packet = av.Packet(bytes(old))
                packet.stream, packet.time_base = stream, old.time_base
                assert old.pts is not None
                assert old.dts is not None
                packet.pts, packet.dts = old.pts + turn * span, old.dts + turn * span
                packet.duration, packet.is_keyframe = old.duration, old.is_keyframe
                target.mux(packet)
    index = build_index(path)
    assert len(index) == 324_000
    columns = (index.pts, index.dts, index.durations, index.sizes)
    assert sum(column.nbytes for column in columns) == 4 * 8 * 324_000
