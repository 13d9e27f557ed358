from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.errors import MediaError, SettingsError
from farm.media.index import IndexClass, build_index
from farm.media.listing import list_frames
from farm.media.orientation import orientation_notes
from farm.media.planes import plane_lines
from farm.media.reshape import (
    Reshape,
    Scaler,
    deinterlaced,
    output_stream,
    reshape_notes,
    reshape_of,
    steady,
)
from farm.render import ChunkRenderer
from farm.settings import OnChange, ShapeSettings
from tests.media.finish_case import parameters
from tests.media_maker import Studio, frame_md5, serial_decode
from tests.recipes.studio import X264
from tests.rendering import blocks_of, job_for, shown_md5s, task_of
from tests.stamps import read_stamp

SAME_SIZE_AFTER = ("-x264-params", "keyint=10:bframes=0", "-f", "mpegts")


def changing(studio: Studio, name: str, second: tuple[int, int]) -> Path:
    """A stream of 20 frames whose second half has another size, its clock going on."""
    path = studio.folder / name
    if not path.exists():
        parts = []
        for number, size in enumerate(((160, 96), second)):
            part = studio.folder / f"{name}.{number}"
            raw = studio.raw(size=size, frames=10, first=10 * number)
            offset = ("-output_ts_offset", str(number * 10 * 1001 / 30000))
            studio.ffmpeg("-i", raw, *X264, *SAME_SIZE_AFTER, *offset, part)
            parts.append(part.read_bytes())
        path.write_bytes(b"".join(parts))
    return path


def test_a_change_of_size_is_refused_with_its_place(media_studio: Studio) -> None:
    index = build_index(changing(media_studio, "changes.ts", (96, 64)))
    assert index.index_class is IndexClass.UNTRUSTED
    assert "the stream's headers change" in index.reasons
    with pytest.raises(MediaError, match=r"160x96 yuv420p to 96x64 yuv420p at 1\.\d+ s; .*scale"):
        list_frames(index)
    assert len(list_frames(index, any_shape=True).packets) == 20


def test_a_change_inside_an_mp4_is_seen_without_decoding(media_studio: Studio) -> None:
    path = media_studio.folder / "changes.mp4"
    media_studio.ffmpeg("-i", changing(media_studio, "changes.ts", (96, 64)), "-c", "copy", path)
    assert "the stream's headers change" in build_index(path).reasons


def test_headers_that_repeat_are_no_change(media_studio: Studio) -> None:
    assert build_index(media_studio.path("h264.ts")).index_class is IndexClass.TRUSTED


def test_frames_of_another_size_are_scaled_to_the_first(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = changing(media_studio, "changes.ts", (96, 64))
    listing = list_frames(build_index(source), any_shape=True)
    job = job_for(source, tmp_path, listing=listing, reshape=Reshape(on_change=OnChange.SCALE))
    blocks = blocks_of(job)
    renderer = ChunkRenderer(job.setup)
    for chunk in job.chunks:
        task = task_of(job, chunk.chunk_index)
        renderer.submit(task, lambda start: [b for b in blocks if b.stop > start]).result()
    renderer.close()
    assert len(shown_md5s(job)) == 20


@pytest.mark.parametrize("text", ["", "640", "640x", "1x1", "99999x2", "640*360", "-2x360"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--scale"):
        ShapeSettings(scale=text)


def test_the_size_is_that_of_the_upright_picture() -> None:
    turned = parameters(rotation=90)
    assert reshape_of(turned, ShapeSettings(scale="360x640")).size == (640, 360)
    assert reshape_of(parameters(), ShapeSettings(scale="360x640")).size == (360, 640)


def test_scaling_keeps_the_proportions_of_what_is_shown() -> None:
    stream = replace(parameters(), width=1920, height=1080)
    half = output_stream(stream, Reshape(size=(1280, 720)))
    assert (half.width, half.height, half.sample_aspect_ratio) == (1280, 720, None)
    square = output_stream(stream, Reshape(size=(720, 720)))
    assert square.sample_aspect_ratio == Fraction(16, 9)


def test_the_scaler_gives_the_size_and_the_same_pixels_each_time(media_studio: Studio) -> None:
    frames = list(serial_decode(media_studio.path("plain.mp4")))[:3]
    scaler = Scaler((320, 192))
    first = [frame_md5(scaler.scale(frame)) for frame in frames]
    assert scaler.scale(frames[0]).width == 320
    again = Scaler((320, 192))
    assert [frame_md5(again.scale(frame)) for frame in reversed(frames)] == first[::-1]
    assert [read_stamp(scaler.scale(frame)) for frame in frames] == [0, 1, 2]


def test_nothing_is_scaled_to_the_same_size(media_studio: Studio) -> None:
    frame = next(serial_decode(media_studio.path("plain.mp4")))
    assert Scaler((frame.width, frame.height)).scale(frame) is frame
    assert steady(frame, parameters(frame.format.name)) is not None


def test_fields_do_not_mix_where_interlaced_frames_are_scaled(media_studio: Studio) -> None:
    frame = next(serial_decode(media_studio.path("interlaced.mp4")))
    frame.make_writable()
    for plane in range(3):
        lines = plane_lines(frame, plane)
        lines[0::2], lines[1::2] = (16, 235) if plane == 0 else (128, 128)
    luma = plane_lines(Scaler((160, 192)).scale(frame), 0)[:, :160]
    assert luma[0::2].max() <= 17
    assert luma[1::2].min() >= 234


def test_deinterlacing_gives_as_many_progressive_frames(media_studio: Studio) -> None:
    frames = list(serial_decode(media_studio.path("interlaced.mp4")))
    assert all(frame.interlaced_frame for frame in frames)
    found = list(deinterlaced(iter(frames)))
    assert len(found) == len(frames)
    assert not any(frame.interlaced_frame for frame in found)
    assert [read_stamp(frame) for frame in found] == list(range(len(frames)))


def test_deinterlacing_does_not_depend_on_where_it_begins(media_studio: Studio) -> None:
    name = "interlaced.mp4"
    whole = [frame_md5(f) for f in deinterlaced(serial_decode(media_studio.path(name)))]
    frames = list(serial_decode(media_studio.path(name)))
    parts = [*deinterlaced(frames[:7]), *deinterlaced(frames[7:])]
    assert [frame_md5(frame) for frame in parts] == whole


def test_progressive_frames_pass_the_deinterlacer_bit_for_bit(media_studio: Studio) -> None:
    path = media_studio.path("plain.mp4")
    before = [frame_md5(frame) for frame in serial_decode(path)]
    assert [frame_md5(frame) for frame in deinterlaced(serial_decode(path))] == before


def test_what_is_done_to_the_shape_is_said() -> None:
    interlaced = parameters(field_order=2)
    assert "field by field" in reshape_notes(interlaced, Reshape())[0]
    assert "deinterlaced" in reshape_notes(interlaced, Reshape(deinterlace=True))[0]
    assert "progressive" in reshape_notes(parameters(), Reshape(deinterlace=True))[0]
    assert reshape_notes(parameters(), Reshape()) == ()
    assert "scaled from" in reshape_notes(parameters(), Reshape(size=(64, 64)))[0]


def test_a_rotation_that_makes_no_sense_is_said_and_ignored() -> None:
    unit = 1 << 16
    straight = (unit, 0, 0, 0, unit, 0, 0, 0, 1 << 30)
    quarter = (0, unit, 0, -unit, 0, 0, 0, 0, 1 << 30)
    slanted = (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)
    assert orientation_notes(None) == orientation_notes(straight) == ()
    assert orientation_notes(quarter) == ()
    assert "ignored" in orientation_notes(slanted)[0]
    assert "ignored" in orientation_notes((-(2**31),) * 9)[0]


def test_steady_brings_size_and_format() -> None:
    frame = av.VideoFrame(96, 64, "yuv444p")
    for plane in range(3):
        plane_lines(frame, plane)[:] = 90
    stream = parameters()
    found = steady(frame, stream)
    assert (found.width, found.height) == (stream.width, stream.height)
    assert found.format.name == "yuv420p"
    assert np.ptp(plane_lines(found, 0)[:, : stream.width]) == 0
