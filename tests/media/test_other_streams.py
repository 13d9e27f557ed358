"""Streams beside the pictures: sound that has to be encoded, data tracks, private tags."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from farm.media import containers
from farm.media.containers import StreamKind, plan_streams, rules_of, without_unheld_data
from farm.media.encoders import EncoderChoice, choose_encoder
from farm.media.ffmpeg import can_mux
from farm.media.final import FinishReport, finish
from farm.media.probe import FORMATS
from tests.media.finish_case import make_source, parameters, request_for, write_chunks

PROGRAMS = [imageio_ffmpeg.get_ffmpeg_exe(), *([p] if (p := shutil.which("ffmpeg")) else [])]
CLICK_S = 0.5
FRAMES = 40


def run(program: str, *arguments: str | Path) -> None:
    command = [program, "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def source_with(tmp_path: Path, codec: str, *, channels: int = 2, start_s: float = 0.25) -> Path:
    """A video with a click at `CLICK_S` after the start of its sound, coded as named."""
    video, sound = make_source(tmp_path / "video.mkv", FRAMES), tmp_path / "click.wav"
    click = f"aevalsrc='if(between(t,{CLICK_S},{CLICK_S}+0.01),0.9,0)':d=1:s=48000"
    run(PROGRAMS[0], "-f", "lavfi", "-i", click, "-ac", str(channels), sound)
    path = tmp_path / "source.mkv"
    inputs = ("-i", video, "-itsoffset", str(start_s), "-i", sound, "-map", "0", "-map", "1")
    language = ("-metadata:s:a:0", "language=deu")
    run(PROGRAMS[0], *inputs, "-c:v", "copy", "-c:a", codec, *language, path)
    return path


def finished(
    tmp_path: Path, source: Path, suffix: str, program: str, **changes: Any
) -> tuple[Path, FinishReport]:
    encoder = ("libvpx-vp9", 30) if suffix == ".webm" else ("libx264", 18)
    choice: EncoderChoice = choose_encoder(*encoder, parameters())[0]
    paths = write_chunks(tmp_path / "chunks", choice, parameters(), (20, 20))
    output = tmp_path / f"out{suffix}"
    values = {"output": output, "ffmpeg": Path(program)} | changes
    return output, finish(request_for(tmp_path, source, choice, paths, FRAMES, **values))


def click_s(path: Path) -> float:
    """When the click is heard, against the first picture."""
    with av.open(str(path)) as container:
        picture: Any = next(container.decode(container.streams.video[0]))
        first = float(picture.pts * picture.time_base)
    with av.open(str(path)) as container:
        frame: Any
        for frame in container.decode(container.streams.audio[0]):
            loud = np.flatnonzero(np.abs(_floats(frame)) > 0.3)
            if len(loud):
                heard = float(frame.pts * frame.time_base) + int(loud[0]) / frame.sample_rate
                return float(heard - first)
    raise AssertionError("no click")


def _floats(frame: Any) -> Any:
    """The first channel, -1 to 1."""
    made = av.AudioResampler(format="fltp", layout="mono").resample(frame)
    return np.concatenate([each.to_ndarray()[0] for each in made])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("codec", "suffix", "becomes"),
    [
        ("pcm_s16le", ".mp4", "flac"),
        ("flac", ".mov", "alac"),
        ("libvorbis", ".mov", "aac"),
        ("aac", ".webm", "opus"),
        ("pcm_s16le", ".ts", "aac"),
    ],
)
def test_sound_that_does_not_fit_is_encoded_said_and_stays_in_time(
    tmp_path: Path, program: str, codec: str, suffix: str, becomes: str
) -> None:
    source = source_with(tmp_path, codec)
    output, report = finished(tmp_path, source, suffix, program)
    with av.open(str(output)) as container:
        (sound,) = container.streams.audio
        assert sound.codec_context.codec.canonical_name == becomes
        assert sound.language == ("ger" if suffix == ".mov" else "deu")
    assert any(f"becomes {becomes}" in note for note in report.notes)
    assert abs(click_s(output) - click_s(source)) < 1e-3


def test_lossless_sound_stays_lossless_in_mp4(tmp_path: Path) -> None:
    source = source_with(tmp_path, "pcm_s16le")
    output, _ = finished(tmp_path, source, ".mp4", PROGRAMS[0])
    assert samples(output) == samples(source)


def samples(path: Path) -> bytes:
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.audio[0])
        to_s16 = av.AudioResampler(format="s16", layout="stereo", rate=48000)
        made = [out for frame in frames for out in to_s16.resample(frame)]
        return b"".join(np.ascontiguousarray(each.to_ndarray()).tobytes() for each in made)


def test_six_channels_go_into_webm(tmp_path: Path) -> None:
    source = source_with(tmp_path, "ac3", channels=6)
    output, _ = finished(tmp_path, source, ".webm", PROGRAMS[0])
    with av.open(str(output)) as container:
        assert container.streams.audio[0].channels == 6


def source_with_tags(tmp_path: Path) -> Path:
    path = tmp_path / "tagged.mov"
    tags = {
        "location": "+48.1+011.5/",
        "com.apple.quicktime.make": "Maker",
        "com.apple.quicktime.model": "Model 3",
        "title": "A day",
        "comment": "said by hand",
    }
    options = [part for name, value in tags.items() for part in ("-metadata", f"{name}={value}")]
    make_source(tmp_path / "video.mkv", FRAMES)
    inputs = ("-i", tmp_path / "video.mkv", "-c:v", "libx264", "-movflags", "use_metadata_tags")
    run(PROGRAMS[0], *inputs, *options, "-metadata:s:v:0", "handler_name=GoPro AVC", path)
    return path


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_stripping_takes_place_and_device_out_and_nothing_else(
    tmp_path: Path, program: str, suffix: str
) -> None:
    source = source_with_tags(tmp_path)
    output, _ = finished(tmp_path, source, suffix, program, strip_metadata=True)
    content = output.read_bytes()
    for gone in (b"+48.1", b"Maker", b"Model 3", b"GoPro"):
        assert gone not in content
    with av.open(str(output)) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}
    assert (found["title"], found["comment"]) == ("A day", "said by hand")


def test_tags_stay_where_nobody_asked(tmp_path: Path) -> None:
    output, _ = finished(tmp_path, source_with_tags(tmp_path), ".mp4", PROGRAMS[0])
    content = output.read_bytes()
    assert b"+48.1" in content
    assert b"Model 3" in content


@pytest.fixture
def with_data(tmp_path: Path) -> Path:
    """A transport stream with a track of timed metadata."""
    path = tmp_path / "data.ts"
    make_source(tmp_path / "video.mkv", FRAMES)
    run(PROGRAMS[0], "-i", tmp_path / "video.mkv", "-c:v", "libx264", tmp_path / "video.ts")
    with (
        av.open(str(tmp_path / "video.ts")) as source,
        av.open(str(path), "w", format="mpegts") as target,
    ):
        before = source.streams.video[0]
        after = target.add_stream_from_template(before)
        data = target.add_data_stream("timed_id3")
        for number, packet in enumerate(source.demux(before)):
            if packet.size:
                packet.stream = after
                target.mux(packet)
                note: Any = av.Packet(b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes([number]))
                note.stream, note.time_base = data, packet.time_base
                note.pts = note.dts = packet.dts
                target.mux_one(note)
    return path


def test_a_data_track_is_kept_where_the_container_holds_it(
    with_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = rules_of(Path("x.ts"))
    with av.open(str(with_data)) as container:
        planned = plan_streams(container, 0, rules, keep_audio=True, private=False)
    kept = without_unheld_data(planned, with_data, rules, Path(PROGRAMS[0]))
    assert [each.kind for each in kept.kept] == [StreamKind.DATA]
    monkeypatch.setattr(containers, "can_mux", lambda *_: False)
    left = without_unheld_data(planned, with_data, rules, Path(PROGRAMS[0]))
    assert left.kept == ()
    assert "MPEG-TS cannot hold it" in left.notes[0]


def test_a_data_track_goes_into_the_output(with_data: Path, tmp_path: Path) -> None:
    output, _ = finished(tmp_path, with_data, ".ts", PROGRAMS[0])
    with av.open(str(output)) as container:
        assert len(container.streams.data) == 1


def test_data_is_left_out_when_it_may_tell_the_place(with_data: Path) -> None:
    with av.open(str(with_data)) as container:
        rules = rules_of(Path("x.ts"))
        plan = plan_streams(container, 0, rules, keep_audio=True, private=False, keep_data=False)
    assert plan.kept == ()
    assert "as asked for" in plan.notes[0]


def test_what_cannot_be_muxed_is_told_by_a_trial(with_data: Path) -> None:
    assert can_mux(Path(PROGRAMS[0]), with_data, 1, "mpegts", FORMATS)
    assert not can_mux(Path(PROGRAMS[0]), with_data, 0, "webm", FORMATS)
    assert not can_mux(Path(PROGRAMS[0]), with_data, 1, "mpegts", "matroska")
