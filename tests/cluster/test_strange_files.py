"""Names of any characters, and files that would make a reader open other files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.errors import FarmError
from farm.media.probe import FORMATS, check_video
from farm.observer import NullObserver
from farm.settings import EncoderSettings, RenderSettings
from tests.media_maker import Studio, serial_frames
from tests.rendering import NOTHING

SOFTWARE = EncoderSettings(hardware=False)
NAMES = (
    "a 'b' \"c\" d",
    "two\nlines",
    "100%d %05d %s",
    "-dash --option",
    "ü ß 漢字 🎬",
    "semi;colon|pipe&$HOME`x`",
    "colon:http:host\\back",
    "[list] {0} *?",
)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_source_output_and_folder_works(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    source = folder / f"{name}.mp4"
    shutil.copy(media_studio.path("plain.mp4"), source)
    output = folder / f"{name} out.mkv"
    settings = RenderSettings(
        target=source,
        output=output,
        processors=NOTHING,
        video_quality=0,
        workers=1,
        encoding=SOFTWARE,
    )
    render_video(settings, NullObserver(), runtime=runtime)
    before, after = serial_frames(source), serial_frames(output)
    assert [frame.md5 for frame in after] == [frame.md5 for frame in before]
    assert {path.name for path in folder.iterdir()} == {source.name, output.name}


POSING = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    "<AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation>"
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "reference": "[Reference]\nRef1={target}\n",
    "script": "import os\nos.system('true')\n",
    "subtitles": "1\n00:00:00,500 --> 00:00:01,500\n{target}\n",
    "image list": "{target}\n",
}


@pytest.mark.parametrize("kind", sorted(POSING))
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".m3u8", ".ts"])
def test_a_file_that_names_another_is_refused_and_follows_nothing(
    media_studio: Studio, tmp_path: Path, kind: str, suffix: str
) -> None:
    path = tmp_path / f"posing{suffix}"
    path.write_text(POSING[kind].format(target=media_studio.path("plain.mp4")))
    with pytest.raises(FarmError):
        check_video(path, None)


def test_no_format_that_opens_other_files_or_connections_is_open() -> None:
    opened = set(FORMATS.split(","))
    dangerous = {
        "hls", "concat", "dash", "sdp", "rtsp", "rtp", "image2", "image2pipe", "lavfi", "imf",
        "webm_dash_manifest", "applehttp", "avisynth", "vapoursynth", "v4l2", "x11grab",
    }  # fmt: skip
    assert not opened & dangerous


def test_a_reference_inside_quicktime_is_not_followed(media_studio: Studio, tmp_path: Path) -> None:
    """The sample table points into another file: its data reference is not self-contained."""
    whole = media_studio.path("no_audio.mp4").read_bytes()
    url = b"url \0\0\0\1"
    assert whole.count(url) == 1
    (tmp_path / "other.bin").write_bytes(whole)
    path = tmp_path / "reference.mp4"
    path.write_bytes(whole.replace(url, b"url \0\0\0\0"))
    try:
        check_video(path, None)
    except FarmError:
        return
    assert serial_frames(path) == serial_frames(media_studio.path("no_audio.mp4"))
