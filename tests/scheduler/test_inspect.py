"""What `facefarm probe` reports."""

import json

import pytest
from click.testing import CliRunner

from cli import main
from farm.errors import MediaError
from farm.manifest import to_jsonable
from farm.media.index import IndexClass
from scheduler.inspect import inspect_file
from tests.media_maker import RECIPES, Kind, Studio, names_of, serial_frames


@pytest.mark.parametrize("name", names_of(Kind.GOOD) + names_of(Kind.HURT))
def test_every_video_is_reported_with_all_its_frames(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    report = inspect_file(path)
    assert report.frames == len(serial_frames(path)) == report.chunks[-1].frame_stop
    assert bool(report.reasons) == (report.index_class is IndexClass.UNTRUSTED)
    assert json.loads(json.dumps(to_jsonable(report)))["frames"] == report.frames
    if RECIPES[name].kind is Kind.GOOD:
        assert report.damage == ()


@pytest.mark.parametrize("name", names_of(Kind.BAD))
def test_every_file_that_cannot_be_rendered_is_refused(media_studio: Studio, name: str) -> None:
    with pytest.raises(MediaError) as caught:
        inspect_file(media_studio.path(name))
    assert "\n" not in caught.value.message


def test_all_streams_are_told_with_what_applies_to_them(media_studio: Studio) -> None:
    streams = inspect_file(media_studio.path("multi.mkv")).streams
    assert [s.type for s in streams] == ["video", "audio", "audio", "subtitle", "attachment"]
    assert [s.language for s in streams[1:3]] == ["eng", "deu"]
    assert (streams[0].width, streams[0].height, streams[0].pix_fmt) == (160, 96, "yuv420p")
    assert (streams[1].sample_rate, streams[1].channels) == (48000, 1)
    assert streams[0].sample_rate is None
    assert streams[0].disposition == ("default",)


@pytest.mark.parametrize(
    ("name", "varies"),
    [("vfr.mp4", True), ("vfr.mkv", True), ("plain.mp4", False), ("multi.mkv", False)],
)
def test_rounding_to_milliseconds_is_no_variable_frame_rate(
    media_studio: Studio, name: str, varies: bool
) -> None:
    assert inspect_file(media_studio.path(name)).variable_frame_rate is varies


def test_chunks_are_those_of_the_wanted_length(media_studio: Studio) -> None:
    report = inspect_file(media_studio.path("plain.mp4"), chunk_seconds=0.5)
    assert [(c.frame_start, c.frame_stop) for c in report.chunks] == [
        (0, 15),
        (15, 30),
        (30, 45),
        (45, 60),
    ]


def test_another_stream_can_be_looked_at(media_studio: Studio) -> None:
    report = inspect_file(media_studio.path("thumbnail_first.mp4"), video_stream=0)
    assert (report.main_stream, report.frames, report.width) == (0, 5, 20)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-streams", "1"), ("--max-megapixels", "0.001"), ("--max-hours", "0.0002")],
)
def test_probe_takes_the_limits_that_a_render_takes(
    media_studio: Studio, option: str, value: str
) -> None:
    path = media_studio.path("multi.mkv")
    result = CliRunner().invoke(main, ["probe", str(path), option, value])
    assert result.exit_code == 2
    assert f"or raise {option}" in result.output
