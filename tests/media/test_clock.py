"""Clocks that jump: picture and sound go on together, each packet in its place."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from farm.media.clock import ClockFollower, ClockSegment
from farm.media.plan import plan_frames
from farm.media.retime import trim
from tests.media.chunk_run import planned
from tests.media.retimed_case import render
from tests.media_maker import Studio, audio_packets, serial_frames
from tests.scheduler.made_up import made_up_index

TICK = Fraction(1, 100)
PACKET = Fraction(2, 100)


def segment(start: str, stop: str, moved: str) -> ClockSegment:
    return ClockSegment(start_s=Fraction(start), stop_s=Fraction(stop), moved_s=Fraction(moved))


def follow(segments: list[ClockSegment], times: list[str]) -> list[float | None]:
    follower = ClockFollower(segments)
    placed = [follower.place(Fraction(each), PACKET) for each in times]
    return [None if each is None else float(each) for each in placed]


def test_a_clock_without_a_jump_is_taken_as_it_is() -> None:
    assert follow([], ["5", "4", "100", "3"]) == [5, 4, 100, 3]


def test_sound_jumps_where_its_own_clock_does() -> None:
    segments = [segment("10", "12", "0"), segment("1", "3", "11")]
    assert follow(segments, ["10", "11", "11.99", "1", "2"]) == [10, 11, 11.99, 12, 13]


def test_sound_that_reaches_over_a_join_is_left_out_there() -> None:
    segments = [segment("10", "12", "0"), segment("1", "3", "11")]
    assert follow(segments, ["12.02", "12.04", "1", "1.04", "1.06"]) == [
        12.02, 12.04, None, None, 12.06,
    ]  # fmt: skip


def test_a_jump_forward_is_followed_and_a_pause_of_the_sound_is_none() -> None:
    segments = [segment("0", "40", "0"), segment("500", "540", "-460")]
    assert follow(segments, ["0", "1", "20", "39", "501"]) == [0, 1, 20, 39, 41]


def test_a_stretch_without_sound_is_passed_over() -> None:
    segments = [segment("0", "9", "0"), segment("100", "109", "-90"), segment("50", "59", "-30")]
    assert follow(segments, ["5", "51"]) == [5, 21]


def test_a_long_gap_is_a_jump_in_a_transport_stream_and_nowhere_else() -> None:
    pts = [0, 40, 80, 20_080, 20_120]
    kept = plan_frames(made_up_index(pts, [0]), None)
    closed = plan_frames(made_up_index(pts, [0], container="mpegts"), None)
    assert (kept.times.pts.tolist(), kept.clock, kept.notes) == (pts, (), ())
    assert closed.times.pts.tolist() == [0, 40, 80, 120, 160]
    assert [float(each.moved_s) for each in closed.clock] == [0, -19.96]
    assert "jumps 1 times" in closed.notes[0]


@pytest.fixture(scope="module")
def parts(media_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two transport streams with sound, at very different times."""
    folder = tmp_path_factory.mktemp("parts")
    plain, paths = media_studio.path("plain.mp4"), []
    for name, offset in (("one", "20.5"), ("two", "700")):
        path = folder / f"{name}.ts"
        media_studio.ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", offset, path)
        paths.append(path)
    return paths


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_joined_recordings_go_on_without_a_gap_and_in_sync(
    parts: list[Path], tmp_path: Path, order: tuple[int, int], suffix: str
) -> None:
    joined, output = tmp_path / "joined.ts", tmp_path / f"out.{suffix}"
    joined.write_bytes(b"".join(parts[n].read_bytes() for n in order))
    render(joined, output, lambda plan: plan)
    frames, sound = serial_frames(output), audio_packets(output)[0]
    times = [frame.time_s or Fraction(0) for frame in frames]
    assert len(times) == 120
    steps = [b - a for a, b in pairwise(times)]
    assert max(steps) < Fraction(37, 1000)
    for part, first in zip(order, (0, 60), strict=True):
        due, video = audio_packets(parts[part])[0], serial_frames(parts[part])[0].time_s
        assert video is not None
        # The last packets of a part are those of the output in any case.
        here = sound[-1] if first else sound[len(due) - 1]
        assert here.time_s is not None
        assert due[-1].time_s is not None
        off = (here.time_s - times[first]) - (due[-1].time_s - video)
        assert abs(off) <= Fraction(1, 1000)
    assert 2 * len(due) - len(sound) <= 4


def test_a_trim_counts_on_the_clock_that_goes_on(parts: list[Path], tmp_path: Path) -> None:
    joined, output = tmp_path / "joined.ts", tmp_path / "out.mp4"
    joined.write_bytes(parts[1].read_bytes() + parts[0].read_bytes())
    _, plan = planned(joined)
    assert len(plan.clock) == 2
    render(joined, output, lambda plan: trim(plan, Fraction(1), Fraction(3)))
    frames, whole = serial_frames(output), serial_frames(joined)
    assert [frame.md5 for frame in frames] == [frame.md5 for frame in whole[30:90]]
    sound = audio_packets(output)[0]
    assert sound[-1].time_s is not None
    assert Fraction(19, 10) < sound[-1].time_s < Fraction(21, 10)
