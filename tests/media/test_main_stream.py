"""Which of several video streams is rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import MediaError
from farm.media.index import build_index
from farm.media.main_stream import choice_notes, main_video_stream
from farm.media.probe import open_container
from tests.media_maker import Studio
from tests.recipes.studio import SIZE, X264


@pytest.mark.parametrize(("name", "chosen"), [("cover.mp4", 1), ("thumbnail_first.mp4", 1)])
def test_covers_and_thumbnails_are_not_the_main_stream(
    media_studio: Studio, name: str, chosen: int
) -> None:
    path = media_studio.path(name)
    with open_container(path) as container:
        stream = main_video_stream(container, path, None)
        assert (stream.width, stream.height) == SIZE
        assert stream.disposition & 0x400 == 0


def test_a_stream_can_be_chosen_and_a_wrong_choice_names_the_right_ones(
    media_studio: Studio,
) -> None:
    path = media_studio.path("thumbnail_first.mp4")
    with open_container(path) as container:
        assert main_video_stream(container, path, 0).width == 20
        with pytest.raises(MediaError, match="video streams: 0, 1"):
            main_video_stream(container, path, 7)


@pytest.fixture
def with_stills(media_studio: Studio) -> Path:
    """Twenty frames, and beside them two of a larger size, both flagged as default."""
    path = media_studio.folder / "stills.mp4"
    if not path.exists():
        large = media_studio.raw(size=(320, 192), frames=2)
        maps = ("-map", "0", "-map", "1", *X264, "-disposition", "default")
        media_studio.ffmpeg("-i", media_studio.raw(frames=20), "-i", large, *maps, path)
    return path


def test_a_few_larger_stills_beside_a_video_are_not_rendered(with_stills: Path) -> None:
    index = build_index(with_stills)
    assert (index.stream_index, len(index)) == (0, 20)
    assert index.notes == (
        "video stream 0 (160x96, 20 frames) is rendered, not 1 (320x192, 2 frames); "
        "--video-stream chooses",
    )


def test_stills_are_rendered_where_they_are_chosen(with_stills: Path) -> None:
    index = build_index(with_stills, 1)
    assert len(index) == 2
    assert index.notes[0].startswith("video stream 1 (320x192, 2 frames) is rendered, not 0 ")


@pytest.mark.parametrize("default", [0, 1])
def test_a_default_stream_goes_before_a_larger_one(media_studio: Studio, default: int) -> None:
    path = media_studio.folder / f"default{default}.mkv"
    large = media_studio.raw(size=(320, 192), frames=10)
    flags = [f"-disposition:v:{n}" for n in range(2)]
    chosen = ("default", "0") if default == 0 else ("0", "default")
    marks = (flags[0], chosen[0], flags[1], chosen[1])
    small = media_studio.raw(frames=10)
    media_studio.ffmpeg("-i", small, "-i", large, "-map", "0", "-map", "1", *X264, *marks, path)
    with open_container(path) as container:
        assert main_video_stream(container, path, None).index == default


def test_nothing_is_said_where_there_is_no_choice(media_studio: Studio) -> None:
    path = media_studio.path("cover.mp4")
    with open_container(path) as container:
        assert choice_notes(container, main_video_stream(container, path, None)) == ()
