"""Renders that read a face table, on real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.errors import InputError
from farm.face_settings import AnalysisSettings
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import ProcessorSettings, RenderSettings
from tests.faces.moving import Place, swaying, textured_pictures, write_clip
from tests.faces.pictures import gray_picture
from tests.media_maker import serial_frames
from tests.model_maker import (
    draw_face,
    make_arcface,
    make_enhancer,
    make_inswapper,
    make_scrfd,
)

pytestmark = pytest.mark.ray

FRAMES = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two people, the second one away for a while, and all models."""
    folder = tmp_path_factory.mktemp("faces")

    def away(frame: int) -> Place | None:
        return None if 20 <= frame < 26 else (280, 40 + frame, 60)

    pictures = textured_pictures(FRAMES, {"magenta": swaying, "cyan": away})
    write_clip(folder / "clip.mkv", pictures)
    make_scrfd(folder / "scrfd.onnx", batch=True)
    make_arcface(folder / "arcface.onnx")
    make_inswapper(folder / "inswapper.onnx")
    make_enhancer(folder / "enhancer.onnx")
    portrait = gray_picture()
    draw_face(portrait, (100, 60, 200, 160), "yellow")
    cv2.imwrite(str(folder / "me.png"), portrait)
    return folder


def render(
    runtime: RayRuntime, folder: Path, output: Path, *names: str, **changes: Any
) -> RenderReport:
    kinds = {"detector": "scrfd", "recognizer": "arcface", "swapper": "inswapper"}
    files = {**kinds, "enhancer": "enhancer"}
    values: dict[str, Any] = {
        "processors": ProcessorSettings(names=names, detector="scrfd"),
        "sources": (folder / "me.png",),
        "models": tuple((kind, folder / f"{name}.onnx") for kind, name in files.items()),
    }
    settings = RenderSettings(
        target=folder / "clip.mkv",
        output=output,
        allow_unverified_models=True,
        video_encoder="ffv1",
        overwrite=True,
        **(values | changes),
    )
    return render_video(settings, NullObserver(), runtime=runtime)


def test_one_chunk_and_many_give_the_same_pixels_with_every_processor(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    analysis = AnalysisSettings(detect_every=5, fill_gaps=10, smooth_landmarks=3)
    names = ("face_swapper", "face_enhancer", "debug_overlay", "face_anonymizer")
    outputs = []
    for chunk_seconds, workers in ((100.0, 1), (0.3, 2)):
        output = tmp_path / f"{workers}.mkv"
        report = render(
            runtime,
            folder,
            output,
            *names,
            analysis=analysis,
            chunk_seconds=chunk_seconds,
            workers=workers,
        )
        assert report.faces == 2 * FRAMES
        assert (report.chunks > 1) == (workers > 1)
        outputs.append([frame.md5 for frame in serial_frames(output)])
    assert outputs[0] == outputs[1]
    source = [frame.md5 for frame in serial_frames(folder / "clip.mkv")]
    assert not set(outputs[0]) & set(source)


def test_a_gap_that_is_not_filled_is_reported(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    analysis = AnalysisSettings(fill_gaps=5)
    report = render(runtime, folder, tmp_path / "o.mkv", "face_anonymizer", analysis=analysis)
    assert report.faces == 2 * FRAMES - 6
    assert [(gap.frame_start, gap.frame_stop) for gap in report.gaps] == [(20, 26)]
    assert any("vanishes and returns 1 times" in note for note in report.notes)


def test_a_table_of_another_clip_is_refused(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "faces.json"
    clip = {"name": "other.mp4", "sha256": "0", "width": 400, "height": 300, "frames": FRAMES + 1}
    document = {"format": "facefarm faces", "format_version": 1, "clip": clip, "tracks": []}
    table.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"faces\.json: its clip \(other\.mp4\) has 51 frames"):
        render(
            runtime,
            folder,
            tmp_path / "o.mkv",
            "face_anonymizer",
            analysis=AnalysisSettings(faces=table),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]
