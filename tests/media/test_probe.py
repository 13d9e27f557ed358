"""Opening files safely, choosing the stream, and reading its parameters."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from farm.errors import MediaError
from farm.media import probe
from farm.media.probe import check_video, read_parameters
from tests.media_maker import Kind, Studio, names_of
from tests.recipes.studio import SIZE

REFUSED_AT_ONCE = [name for name in names_of(Kind.BAD) if name != "size_changes.ts"]


@pytest.mark.parametrize("name", REFUSED_AT_ONCE)
def test_what_is_no_video_is_refused_in_one_line(media_studio: Studio, name: str) -> None:
    path = media_studio.path(name)
    with pytest.raises(MediaError) as caught:
        check_video(path, None)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        check_video(tmp_path / "none.mp4", None)
    with pytest.raises(MediaError, match="not a file"):
        check_video(tmp_path, None)


@pytest.mark.parametrize("name", names_of(Kind.GOOD) + names_of(Kind.HURT))
def test_every_video_that_can_be_rendered_passes(media_studio: Studio, name: str) -> None:
    check_video(media_studio.path(name), None)


def test_a_name_that_looks_like_a_protocol_or_an_option_is_only_a_name(
    media_studio: Studio, tmp_path: Path
) -> None:
    for name in ("http:clip.mp4", "-dash.mp4", "a 'name' %d.mp4"):
        (tmp_path / name).write_bytes(media_studio.path("one_frame.mp4").read_bytes())
        check_video(tmp_path / name, None)


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("plain.mp4", (0, False)),
        ("rot90.mp4", (90, False)),
        ("rot180.mp4", (180, False)),
        ("rot270.mp4", (270, False)),
    ],
)
def test_rotation_is_read_from_the_display_matrix(
    media_studio: Studio, name: str, turned: tuple[int, bool]
) -> None:
    stream = read_parameters(media_studio.path(name), 0)
    assert (stream.rotation, stream.flipped) == turned
    assert (stream.display_matrix is None) == (name == "plain.mp4")


def test_what_a_decoder_must_know_is_read(media_studio: Studio) -> None:
    stream = read_parameters(media_studio.path("h264_422_10bit.mp4"), 0)
    assert (stream.codec, stream.pix_fmt) == ("h264", "yuv422p10le")
    assert (stream.width, stream.height) == SIZE
    assert stream.frame_rate == Fraction(30000, 1001)
    assert stream.extradata[:1] == b"\x01"


def test_colour_tags_are_the_numbers_of_the_standard(media_studio: Studio) -> None:
    color = read_parameters(media_studio.path("full_range_601.mp4"), 0).color
    assert (color.range, color.space, color.primaries, color.trc) == (2, 6, 6, 6)


def test_no_packet_before_the_first_frame_stops_the_search(
    media_studio: Studio, tmp_path: Path
) -> None:
    content = bytearray(media_studio.path("h264.ts").read_bytes())
    packets = [content[i : i + 188] for i in range(0, len(content), 188)]
    path = tmp_path / "begins_inside_a_gop.ts"
    path.write_bytes(b"".join(packets[:3] + packets[len(packets) // 8 :]))
    assert read_parameters(path, 0).pix_fmt == "yuv420p"


def test_a_stream_of_a_codec_that_nobody_knows_is_refused(
    media_studio: Studio, tmp_path: Path
) -> None:
    content = media_studio.path("no_audio.mp4").read_bytes()
    path = tmp_path / "strange.mp4"
    path.write_bytes(content.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(MediaError, match="no decoder"):
        check_video(path, None)


def test_a_demuxer_that_breaks_before_the_first_frame_is_a_refusal(
    media_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[Any]:
        yield from ()
        raise av.error.MemoryError(12, "Cannot allocate memory", "clip.mp4")

    monkeypatch.setattr(probe, "demuxed", broken)
    with pytest.raises(MediaError, match="cannot be read"):
        read_parameters(media_studio.path("plain.mp4"), 0)
