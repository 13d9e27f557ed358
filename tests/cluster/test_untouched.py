"""`--copy-untouched`, end to end: what no processor changed keeps the source's packets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import EncodeOn, EncoderSettings, RenderSettings
from tests.fidelity import COVERING
from tests.media_maker import Studio, serial_frames
from tests.model_maker import make_scrfd
from tests.recipes.faces import FACE_FRAMES

pytestmark = pytest.mark.ray

COUNT = 3 * FACE_FRAMES
TOUCHED = range(FACE_FRAMES, 2 * FACE_FRAMES)


def rendered(
    runtime: RayRuntime,
    studio: Studio,
    tmp_path: Path,
    name: str = "faces_some.mp4",
    **changes: Any,
) -> tuple[RenderReport, Path, Path]:
    source, output = studio.path(name), tmp_path / "out.mp4"
    values: dict[str, Any] = {
        "processors": COVERING,
        "models": (("detector", make_scrfd(tmp_path / "scrfd.onnx")),),
        "allow_unverified_models": True,
        "workers": 1,
        "encoding": EncoderSettings(hardware=False),
        "copy_untouched": True,
    }
    settings = RenderSettings(target=source, output=output, **(values | changes))
    return render_video(settings, NullObserver(), runtime=runtime), source, output


def slices(path: Path) -> list[bytes]:
    """Each packet without parameter sets, delimiters and messages, in display order."""
    with av.open(str(path)) as container:
        found = [(p.pts or 0, pictures_of(bytes(p))) for p in container.demux(video=0) if p.size]
    return [content for _, content in sorted(found)]


def pictures_of(packet: bytes) -> bytes:
    """The units of a packet that are slices."""
    kept, at = [], 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        unit = packet[at + 4 : at + 4 + size]
        kept += [unit] if unit[0] & 31 in (1, 5) else []
        at += 4 + size
    return b"".join(kept)


def test_stretches_without_a_face_keep_the_packets_of_the_source(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    report, source, output = rendered(runtime, media_studio, tmp_path)
    assert any(f"{COUNT - len(TOUCHED)} of {COUNT} frames keep" in each for each in report.notes)
    before, after = slices(source), slices(output)
    same = [number for number in range(COUNT) if before[number] == after[number]]
    assert same == [number for number in range(COUNT) if number not in TOUCHED]
    shown, due = serial_frames(output), serial_frames(source)
    assert [frame.time_s for frame in shown] == [frame.time_s for frame in due]
    assert [n for n in range(COUNT) if shown[n].md5 == due[n].md5] == same


BEFORE, BEHIND = range(TOUCHED.start - 3), range(TOUCHED.stop, COUNT)
"""Frames of whole groups without a face; leading pictures of the first group with one are open."""
OPEN = {
    "faces_open_264.mp4": ("libx264", [*BEFORE]),
    "faces_open_265.mp4": ("libx265", [*BEFORE, *BEHIND]),
}
"""How each is encoded, and what is copied: H.264 lets no copy begin with an open group."""


@pytest.mark.long
@pytest.mark.parametrize("name", list(OPEN))
@pytest.mark.parametrize("chunk_seconds", [None, 0.2])
def test_open_groups_without_a_face_keep_the_packets_of_the_source(
    runtime: RayRuntime,
    media_studio: Studio,
    tmp_path: Path,
    name: str,
    chunk_seconds: float | None,
) -> None:
    encoder, kept = OPEN[name]
    report, source, output = rendered(
        runtime,
        media_studio,
        tmp_path,
        name,
        video_encoder=encoder,
        chunk_seconds=chunk_seconds,
    )
    said = " ".join(report.notes)
    assert f"{len(kept)} of {COUNT} frames keep" in said
    assert ("IDR picture only" in said) == (encoder == "libx264")
    shown, due = serial_frames(output), serial_frames(source)
    assert [frame.time_s for frame in shown] == [frame.time_s for frame in due]
    assert [n for n in range(COUNT) if shown[n].md5 == due[n].md5] == kept
    for program in {imageio_ffmpeg.get_ffmpeg_exe(), shutil.which("ffmpeg")} - {None}:
        assert_decodes(str(program), output)


def assert_decodes(program: str, path: Path) -> None:
    """A program shows every frame and complains of nothing."""
    command = [program, "-v", "error", "-i", str(path), "-f", "framemd5", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len([line for line in lines if line.startswith("0,")]) == COUNT


@pytest.mark.long
@pytest.mark.parametrize(
    "program", [imageio_ffmpeg.get_ffmpeg_exe(), shutil.which("ffmpeg") or "ffmpeg"]
)
def test_other_decoders_show_every_frame_across_the_joins(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, program: str
) -> None:
    if not shutil.which(program):
        pytest.skip("no ffmpeg is installed here")
    _, _, output = rendered(runtime, media_studio, tmp_path, ffmpeg=Path(program))
    assert_decodes(program, output)
    assert b"avc3" in output.read_bytes()


@pytest.mark.long
def test_nothing_is_copied_where_the_whole_is_encoded_in_one(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    report, source, output = rendered(runtime, media_studio, tmp_path, encode_on=EncodeOn.FINAL)
    assert not any("keep the source" in note for note in report.notes)
    assert slices(source) != slices(output)
