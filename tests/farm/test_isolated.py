from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from farm.errors import MediaError
from farm.isolated import isolated
from farm.limit_settings import LimitSettings
from farm.media.index import build_index
from farm.media.limits import (
    MOST_PACKETS,
    MOST_PIXELS,
    MOST_STREAMS,
    check_length,
    check_size,
    check_stream_count,
)
from farm.media.listing import list_frames
from farm.media.reading import IndexReader, read_listing
from tests.media_maker import Studio

FILE = Path("strange.mp4")
Tell = Callable[[object], None]


def answer(number: int, tell: Tell) -> int:
    tell("half of it")
    return 2 * number


def crash(tell: Tell) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(tell: Tell) -> None:
    os._exit(7)


def hang(tell: Tell) -> None:
    while True:
        time.sleep(60)


def refuse(tell: Tell) -> None:
    raise MediaError("strange.mp4: not a video")


def break_down(tell: Tell) -> None:
    raise KeyError("nobody thought of this")


def test_the_result_and_what_is_told_come_back() -> None:
    told: list[object] = []
    assert isolated(answer, 21, subject=FILE, told=told.append) == 42
    assert told == ["half of it"]


def test_a_crash_becomes_an_error_that_names_the_file() -> None:
    with pytest.raises(MediaError, match=r"strange\.mp4: .* crash \(SIGSEGV\)"):
        isolated(crash, subject=FILE)
    with pytest.raises(MediaError, match=r"crash \(exit code 7\)"):
        isolated(leave, subject=FILE)


def test_work_that_says_nothing_is_given_up() -> None:
    with pytest.raises(MediaError, match=r"got nowhere for 0\.2 s"):
        isolated(hang, subject=FILE, stall_s=0.2)


def test_errors_come_back_as_they_are() -> None:
    with pytest.raises(MediaError, match="not a video"):
        isolated(refuse, subject=FILE)
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        isolated(break_down, subject=FILE)


def test_index_and_listing_are_those_of_this_process(media_studio: Studio) -> None:
    path = media_studio.path("bframes.avi")
    reader = IndexReader(path, None)
    reader.check()
    index = reader.index()
    here = build_index(path)
    assert index.pts.tolist() == here.pts.tolist()
    assert (index.stream, index.reasons) == (here.stream, here.reasons)
    assert read_listing(index).packets.tolist() == list_frames(here).packets.tolist()


def test_what_is_no_video_is_refused_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "a 'b'\n\"c\" %d.mp4"
    path.write_text("no video")
    with pytest.raises(MediaError, match="not a video that can be read"):
        IndexReader(path, None).check()


def test_a_file_that_asks_for_too_much_is_refused() -> None:
    check_stream_count(FILE, MOST_STREAMS)
    check_size(FILE, 16384, 16384)
    check_length(FILE, MOST_PACKETS, None)
    with pytest.raises(MediaError, match="1025 streams"):
        check_stream_count(FILE, MOST_STREAMS + 1)
    with pytest.raises(MediaError, match="too large"):
        check_size(FILE, MOST_PIXELS, 2)
    with pytest.raises(MediaError, match="too long"):
        check_length(FILE, MOST_PACKETS + 1, None)
    with pytest.raises(MediaError, match="too long"):
        check_length(FILE, 1, Fraction(3601), 1.0)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (LimitSettings(max_streams=1), r"has 2 streams, more than 1; .* raise --max-streams"),
        (LimitSettings(max_megapixels=0.015), r"160x96 are too large; .* raise --max-megapixels"),
        (LimitSettings(max_hours=0.0005), r"is too long \(0\.00 hours, .* raise --max-hours"),
    ],
)
def test_limits_that_were_set_are_said_with_what_raises_them(
    media_studio: Studio, limits: LimitSettings, said: str
) -> None:
    path = media_studio.path("plain.mp4")
    IndexReader(path, None, LimitSettings()).index()
    with pytest.raises(MediaError, match=said):
        IndexReader(path, None, limits).check()
