"""Sources whose times are not the usual ones: late starts, holes, stills, repeated fields."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media.chunk_run import planned
from tests.media.retimed_case import render
from tests.media_maker import Studio, audio_packets, serial_frames

SMALL = "testsrc2=size=64x48:rate={rate}:duration={seconds}"
TONE = ("-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000")
X264 = ("-c:v", "libx264", "-c:a", "aac")
Make = Callable[[Studio, Path], None]


def picture(rate: str = "25", seconds: int = 2) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", SMALL.format(rate=rate, seconds=seconds))


def late(offset: str) -> Make:
    def make(studio: Studio, path: Path) -> None:
        studio.ffmpeg(*picture(), *TONE, *X264, "-bf", "2", "-output_ts_offset", offset, path)

    return make


def still(studio: Studio, path: Path) -> None:
    """One frame that stays for two seconds."""
    studio.ffmpeg(*picture("1/2"), *TONE, *X264, path)


def with_a_hole(studio: Studio, path: Path) -> None:
    """Frames that go on after two seconds of standing still."""
    kept = "select='lt(n,10)+gt(n,60)'"
    studio.ffmpeg(*picture(seconds=3), "-vf", kept, "-fps_mode", "vfr", *X264[:2], path)


def negative(studio: Studio, path: Path) -> None:
    """Sound and pictures before zero, hidden by an edit list."""
    whole = studio.folder / "whole_for_negative.mp4"
    studio.ffmpeg(*picture(), *TONE, *X264, "-g", "25", whole)
    studio.ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", path)


SOURCES: dict[str, Make] = {
    "late.mkv": late("100.5"),
    "late.ts": late("3600"),
    "wraps.ts": late("95442"),
    "late.mp4": late("7"),
    "still.mp4": still,
    "hole.mp4": with_a_hole,
    "hole.mkv": with_a_hole,
    "negative.mp4": negative,
}


@pytest.fixture(scope="module", params=SOURCES)
def source(
    request: pytest.FixtureRequest,
    media_studio: Studio,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("odd") / str(request.param)
    SOURCES[path.name](media_studio, path)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_every_frame_and_packet_keeps_its_place(source: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.{suffix}"
    render(source, output, lambda plan: plan, chunk_seconds=0.4)
    before, after = serial_frames(source), serial_frames(output)
    assert [frame.md5 for frame in after] == [frame.md5 for frame in before]
    first = [frames[0].time_s or Fraction(0) for frames in (before, after)]
    slack = 0 if suffix == "mp4" else Fraction(1, 2000)
    for here, there in zip(after, before, strict=True):
        assert here.time_s is not None
        assert there.time_s is not None
        assert abs((here.time_s - first[1]) - (there.time_s - first[0])) <= slack
    for due, found in zip(audio_packets(source), audio_packets(output), strict=True):
        assert len(due) == len(found)
        for one, two in ((due[0], found[0]), (due[-1], found[-1])):
            assert one.time_s is not None
            assert two.time_s is not None
            moved = (two.time_s - first[1]) - (one.time_s - first[0])
            assert abs(moved) <= Fraction(1, 1000)


def with_repeated_fields(studio: Studio, path: Path) -> Path:
    """An MPEG-2 stream of which every second picture says that it stays twice as long."""
    studio.ffmpeg(*picture("24000/1001"), "-c:v", "mpeg2video", "-b:v", "400k", path)
    data, at, pictures = bytearray(path.read_bytes()), 0, 0
    while (at := data.find(b"\0\0\1\xb5", at) + 4) > 3:
        if data[at] >> 4 == 8:  # picture coding extension
            pictures += 1
            data[at + 3] |= 2 * (pictures % 2 == 0)  # repeat_first_field
    path.write_bytes(data)
    return path


def test_a_picture_with_repeated_fields_stays_longer(media_studio: Studio, tmp_path: Path) -> None:
    source, output = with_repeated_fields(media_studio, tmp_path / "in.m2v"), tmp_path / "out.mp4"
    _, plan = planned(source)
    steps = [int(step) * plan.times.time_base for step in plan.times.durations[:6]]
    one = Fraction(1001, 24000)
    assert steps == [one, 2 * one] * 3
    render(source, output, lambda plan: plan)
    before, after = serial_frames(source), serial_frames(output)
    assert [frame.md5 for frame in after] == [frame.md5 for frame in before]
    times = [frame.time_s or Fraction(0) for frame in after[:5]]
    assert [at - times[0] for at in times] == [0, one, 3 * one, 4 * one, 6 * one]
