"""Listing: the frames of a serial decode, known by their packets."""

import pytest

from farm.errors import MediaError
from farm.media.index import NO_PTS, build_index
from farm.media.listing import list_frames, shown_frames
from tests.media_maker import Kind, Studio, frame_md5, names_of, serial_frames


@pytest.mark.parametrize("name", names_of(Kind.GOOD))
def test_the_listing_is_what_a_serial_decode_shows(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    index = build_index(path)
    listing, serial = list_frames(index), serial_frames(path)
    assert [None if pts == NO_PTS else pts for pts in listing.pts.tolist()] == [
        frame.pts for frame in serial
    ]
    assert (index.pts[listing.packets] == listing.pts).all()
    assert not listing.corrupt.any()
    assert listing.failed_packets == ()


def test_shown_frames_are_the_frames_with_the_packet_s_number_as_pts(
    media_studio: Studio,
) -> None:
    path = media_studio.path("edit_list.mp4")
    index = build_index(path)
    frames = list(shown_frames(index))
    assert [frame.pts for frame in frames] == list_frames(index).packets.tolist()
    assert [frame_md5(frame) for frame in frames] == [frame.md5 for frame in serial_frames(path)]


def test_a_picture_that_changes_its_size_is_refused_with_its_place(media_studio: Studio) -> None:
    index = build_index(media_studio.path("size_changes.ts"))
    with pytest.raises(MediaError, match=r"160x96 .* to 96x64 .* at \d+\.\d\d s; .*cut the file"):
        list_frames(index)


def test_progress_is_told_now_and_then(media_studio: Studio) -> None:
    index = build_index(media_studio.path("joined.ts"))
    told: list[int] = []
    list_frames(index, told.append)
    assert told == [100]


def test_frames_that_decode_with_errors_are_flagged(media_studio: Studio) -> None:
    assert list_frames(build_index(media_studio.path("bit_flips.mp4"))).corrupt.any()
