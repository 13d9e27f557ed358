"""Trimmed sound, subtitles and chapters: what is kept, and where against the picture."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from farm.media.containers import KeptStream, StreamKind, StreamPlan
from farm.media.ffmpeg import find_ffmpeg
from farm.media.plan import FramePlan
from farm.media.retime import stretch, trim
from farm.media.stream_cut import cut_source, in_cut
from farm.media.timing import TimeRange
from tests.media.retimed_case import render
from tests.media.test_other_streams import click_s, source_with
from tests.media_maker import Studio, audio_packets, serial_frames

MILLISECOND = Fraction(1, 1000)
SYSTEM = shutil.which("ffmpeg")
PROGRAMS = [None, *([Path(SYSTEM)] if SYSTEM else [])]


def cut_to(start: str | None, stop: str | None) -> Callable[[FramePlan], FramePlan]:
    ends = [None if each is None else Fraction(each) for each in (start, stop)]
    return lambda plan: trim(plan, *ends)


def shown(path: Path) -> list[tuple[Fraction, str]]:
    """Time and samples of each frame."""
    return [(frame.time_s or Fraction(0), frame.md5) for frame in serial_frames(path)]


def texts(path: Path) -> list[tuple[float, float, str]]:
    """Begin, end and text of each subtitle."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.subtitles[0]):
            if packet.size > 2 and packet.pts is not None:
                tick = Fraction(packet.time_base or 0)
                begin = float(packet.pts * tick)
                end = begin + float((packet.duration or 0) * tick)
                text = bytes(packet).decode(errors="replace").lstrip("\0\x05")
                found.append((round(begin, 3), round(end, 3), text))
    return found


def chapters(path: Path) -> list[tuple[Any, Any, str]]:
    with av.open(str(path)) as container:
        found: list[Any] = list(container.chapters())
    return [
        (
            round(float(each["start"] * each["time_base"]), 3),
            round(float(each["end"] * each["time_base"]), 3),
            each["metadata"]["title"],
        )
        for each in found
    ]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("multi.mp4", "mp4"),
        ("multi.mkv", "mkv"),
        ("multi.mp4", "mkv"),
        ("h264.ts", "mp4"),
        ("h264.ts", "ts"),
        ("late_audio.mp4", "mp4"),
        ("late_video.mp4", "mp4"),
        ("edit_list.mp4", "mov"),
    ],
)
@pytest.mark.parametrize(
    ("start", "stop", "program"),
    [
        *(("0.5", "1.2", program) for program in PROGRAMS),
        ("0.5", None, None),
        (None, "1.2", None),
    ],
)
def test_picture_and_sound_of_a_trim_are_those_of_the_source_in_their_places(
    media_studio: Studio,
    tmp_path: Path,
    name: str,
    suffix: str,
    start: str | None,
    stop: str | None,
    program: Path | None,
) -> None:
    source, output = media_studio.path(name), tmp_path / f"out.{suffix}"
    if name == "edit_list.mp4" and stop:
        stop = "0.9"  # it is short
    job, _ = render(source, output, cut_to(start, stop), ffmpeg=find_ffmpeg(program))
    kept, before, after = job.plan.output.first, shown(source), shown(output)
    assert 0 < len(kept) < len(before)
    assert [md5 for _, md5 in after] == [before[n][1] for n in kept]
    moved = after[0][0] - before[kept[0]][0]
    slack = 0 if suffix in ("mp4", "mov") and source.suffix == ".mp4" else MILLISECOND / 2
    for (here, _), n in zip(after, kept, strict=True):
        assert abs(here - before[n][0] - moved) <= slack
    if start and suffix != "ts":
        assert after[0][0] == 0
    cut = job.plan.output.cut
    tracks = list(zip(audio_packets(source), audio_packets(output), strict=True))
    assert tracks or name == "edit_list.mp4"
    for there, found in tracks:
        due = [each for each in there if each.time_s is not None and in_cut(cut, each.time_s)]
        if suffix != "ts" and source.suffix != ".ts":  # these differ in a header
            assert [each.md5 for each in found] == [each.md5 for each in due]
        for one, two in ((found[0], due[0]), (found[-1], due[-1])):
            assert one.time_s is not None
            assert two.time_s is not None
            assert abs(one.time_s - two.time_s - moved) <= MILLISECOND


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("codec", "suffix"), [("pcm_s16le", ".mp4"), ("aac", ".webm"), ("libopus", ".mov")]
)
def test_sound_that_is_encoded_again_is_cut_to_the_sample(
    tmp_path: Path, codec: str, suffix: str, program: Path | None
) -> None:
    source, output = source_with(tmp_path, codec), tmp_path / f"out{suffix}"
    encoder = "libvpx-vp9" if suffix == ".webm" else "libx264"
    retimed = cut_to("0.6", "0.9")
    binary = find_ffmpeg(program)
    job, report = render(source, output, retimed, encoder=encoder, ffmpeg=binary)
    times = job.plan.output.times
    start_s = float(times.seconds(0) + int(times.pts[0]) * times.time_base)
    # Both clocks round to a millisecond where the output is WebM: half of one each, on top.
    slack = 0.001 + (0.001 if suffix == ".webm" else 0)
    assert click_s(output) == pytest.approx(click_s(source) - start_s, abs=slack)
    assert any("is cut to the sample" in note for note in report.notes)
    if suffix == ".mp4":  # flac: no encoder's silence
        with av.open(str(output)) as container:
            frames: list[Any] = list(container.decode(container.streams.audio[0]))
        assert float(frames[0].pts * frames[0].time_base) == pytest.approx(0, abs=0.001)
        long_s = float(times.durations.sum() * times.time_base)
        assert sum(f.samples for f in frames) / 48000 == pytest.approx(long_s, abs=0.001)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("name", "suffix"), [("multi.mp4", "mp4"), ("multi.mkv", "mkv")])
def test_subtitles_chapters_and_tags_are_cut_and_moved(
    media_studio: Studio, tmp_path: Path, name: str, suffix: str, program: Path | None
) -> None:
    source, output = media_studio.path(name), tmp_path / f"out.{suffix}"
    job, report = render(source, output, cut_to("0.8", "1.3"), ffmpeg=find_ffmpeg(program))
    start = float(job.plan.output.times.pts[0] * job.plan.output.times.time_base)
    long = round(float(job.plan.output.times.durations.sum() * job.plan.times.time_base), 3)
    (begin, end, text), *more = texts(output)
    assert not more
    assert (begin, text) == (0.0, "hello")
    assert end == pytest.approx(long, abs=0.002)
    assert chapters(output) == [
        (0.0, pytest.approx(1 - start, abs=0.002), "one"),
        (pytest.approx(1 - start, abs=0.002), pytest.approx(long, abs=0.002), "two"),
    ]
    with av.open(str(output)) as container:
        languages = [stream.metadata.get("language") for stream in container.streams.audio]
    assert languages == ["eng", "deu"]
    said = [note for note in report.notes if "is cut at packets" in note]
    assert len(said) == 2
    assert not [path for path in output.parent.glob("*.work/*") if path.suffix != ".chunk"]


def test_what_holds_nothing_in_the_stretch_is_left_out_and_said(
    media_studio: Studio, tmp_path: Path
) -> None:
    source, output = media_studio.path("multi.mkv"), tmp_path / "out.mkv"
    _, report = render(source, output, cut_to("1.6", None))
    with av.open(str(output)) as container:
        assert not container.streams.subtitles
        assert len(container.streams.audio) == 2
    assert any("holds nothing in the stretch" in note for note in report.notes)
    assert chapters(output) == [(0.0, pytest.approx(0.4, abs=0.02), "two")]


def test_a_second_video_is_left_out_of_a_trim_and_a_cover_stays(
    media_studio: Studio, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    _, report = render(media_studio.path("thumbnail_first.mp4"), output, cut_to("0.5", "1"))
    with av.open(str(output)) as container:
        assert len(container.streams.video) == 1
    assert any("is not trimmed with the picture" in note for note in report.notes)
    render(media_studio.path("cover.mp4"), tmp_path / "cover.mp4", cut_to("0.5", "1"))
    with av.open(str(tmp_path / "cover.mp4")) as container:
        assert len(container.streams.video) == 2


def test_a_preview_is_cut_by_the_same_code_and_has_no_sound(
    media_studio: Studio, tmp_path: Path
) -> None:
    source, output = media_studio.path("multi.mkv"), tmp_path / "out.mkv"
    render(source, output, lambda plan: stretch(plan, 0.5, 12), video_only=True)
    before, after = shown(source), shown(output)
    assert [md5 for _, md5 in after] == [md5 for _, md5 in before[15:27]] or [
        md5 for _, md5 in after
    ] == [md5 for _, md5 in before[14:26]]
    assert after[0][0] == 0


def test_special_characters_of_chapters_survive(tmp_path: Path, media_studio: Studio) -> None:
    title = "a=b; c#d \\ e\nf"
    source = tmp_path / "in.mkv"
    with (
        av.open(str(media_studio.path("plain.mp4"))) as old,
        av.open(str(source), "w") as new,
    ):
        stream: Any = new.add_stream_from_template(old.streams.video[0], opaque=True)
        new.set_chapters(
            [{"id": 1, "start": 0, "end": 2000, "time_base": MILLISECOND,
              "metadata": {"title": title}}]
        )  # fmt: skip
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux_one(packet)
    output = tmp_path / "out.mkv"
    render(source, output, cut_to("0.5", "1"))
    assert [each[2] for each in chapters(output)] == [title]


def test_a_stretch_without_a_border_keeps_all_up_to_there(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("multi.mp4")
    kept = KeptStream(source_index=1, kind=StreamKind.AUDIO, codec="copy")
    plan = StreamPlan(kept=(kept,), notes=(), keep_chapters=True)
    whole = cut_source(
        source, plan, TimeRange(start=None, stop=None), Fraction(0), tmp_path
    ).streams[0]
    (before, *_), (after,) = audio_packets(source), audio_packets(whole.path)
    assert before == after
