"""Renders that read a face table, on real workers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cluster.analyze import analyze_video
from cluster.people import find_people
from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.analyze_settings import AnalyzeSettings, FacesSettings, LookSettings
from farm.errors import InputError
from farm.face_settings import AnalysisSettings, FaceOrder, SelectionSettings
from farm.faces.sheet import CELL_PX
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import ProcessorSettings, RenderSettings
from tests.faces.moving import Place, swaying, textured_pictures, write_clip
from tests.faces.pictures import gray_picture
from tests.media_maker import serial_decode
from tests.model_maker import (
    COLOURS_BGR,
    draw_face,
    embedding_of,
    make_arcface,
    make_enhancer,
    make_inswapper,
    make_scrfd,
    swap_colour,
)

pytestmark = pytest.mark.ray

FRAMES = 38
MODELS = {
    "detector": "scrfd",
    "recognizer": "arcface",
    "swapper": "inswapper",
    "enhancer": "enhancer",
}


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
    values: dict[str, Any] = {
        "processors": ProcessorSettings(names=names, detector="scrfd"),
        "sources": (folder / "me.png",),
        "models": tuple((kind, folder / f"{name}.onnx") for kind, name in MODELS.items()),
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


def look_with(folder: Path, **changes: Any) -> LookSettings:
    models = tuple((kind, folder / f"{name}.onnx") for kind, name in MODELS.items())
    return LookSettings(detector="scrfd", models=models, allow_unverified_models=True, **changes)


def md5s(path: Path) -> list[str]:
    """Of the pictures, whatever their pixel format: all clips here are lossless RGB."""
    pictures = (frame.to_ndarray(format="bgr24") for frame in serial_decode(path))
    return [hashlib.md5(picture.tobytes()).hexdigest() for picture in pictures]


@pytest.mark.timeout(300)
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
        outputs.append(md5s(output))
    assert outputs[0] == outputs[1]
    assert not set(outputs[0]) & set(md5s(folder / "clip.mkv"))


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
    with pytest.raises(InputError, match=r"faces\.json: its clip \(other\.mp4\) has 39 frames"):
        render(
            runtime,
            folder,
            tmp_path / "o.mkv",
            "face_anonymizer",
            selection=SelectionSettings(faces=table),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]


@pytest.mark.long
def test_a_table_that_was_analysed_before_gives_the_same_pixels_and_can_be_edited(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    analysis = AnalysisSettings(detect_every=5, smooth_landmarks=2)
    names = ("debug_overlay", "face_anonymizer")
    render(runtime, folder, tmp_path / "direct.mkv", *names, analysis=analysis)
    table = tmp_path / "faces.json"
    report = analyze_video(
        AnalyzeSettings(
            target=folder / "clip.mkv",
            output=table,
            analysis=analysis,
            look=look_with(folder, chunk_seconds=0.5),
        ),
        NullObserver(),
        runtime=runtime,
    )
    assert (report.tracks, report.people, report.faces) == (2, None, 2 * FRAMES - 6)
    assert [(gap.frame_start, gap.frame_stop) for gap in report.gaps] == [(20, 26)]
    given = SelectionSettings(faces=table)
    again = render(runtime, folder, tmp_path / "again.mkv", *names, selection=given)
    assert md5s(tmp_path / "again.mkv") == md5s(tmp_path / "direct.mkv")
    assert again.detector == "the face table"
    document = json.loads(table.read_text())
    for track in document["tracks"]:
        track["on"] = False
    added = [{"frame": 3, "box": [10, 10, 60, 60]}, {"second": 0.2, "box": [30, 10, 80, 60]}]
    document["added"] = [{"boxes": added}]
    table.write_text(json.dumps(document))
    edited = render(runtime, folder, tmp_path / "edited.mkv", "face_anonymizer", selection=given)
    source, output = md5s(folder / "clip.mkv"), md5s(tmp_path / "edited.mkv")
    touched = [i for i, (one, other) in enumerate(zip(source, output, strict=True)) if one != other]
    assert touched == [3, 4, 5]
    assert edited.faces == 3


@pytest.mark.long
def test_one_person_is_worked_on_throughout_wherever_they_are(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    """The person on the right at 0.2 s, who is away for a while and returns."""
    right = SelectionSettings(reference_at=0.2, order=FaceOrder.RIGHT_TO_LEFT, distance=0.5)
    render(runtime, folder, tmp_path / "right.mkv", "face_swapper", selection=right)
    source, output = md5s(folder / "clip.mkv"), md5s(tmp_path / "right.mkv")
    same = [i for i, (one, other) in enumerate(zip(source, output, strict=True)) if one == other]
    assert same == list(range(20, 26))


@pytest.mark.long
def test_a_map_puts_several_sources_onto_several_people(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    other = gray_picture()
    draw_face(other, (100, 60, 200, 160), "cyan")
    cv2.imwrite(str(tmp_path / "other.png"), other)
    (tmp_path / "map.toml").write_text(
        f"""
[[map]]
source = "{folder / "me.png"}"
at = 0.0
order = "left-to-right"
[[map]]
source = "other.png"
at = 0.0
order = "right-to-left"
"""
    )
    selection = SelectionSettings(map_faces=tmp_path / "map.toml", distance=0.5)
    output = tmp_path / "out.mkv"
    render(runtime, folder, output, "face_swapper", selection=selection, sources=())
    colours = [swap_colour(embedding_of(COLOURS_BGR[name])) for name in ("yellow", "cyan")]
    left, top, side = swaying(0)
    middles = [(left + side // 2, top + side // 2), (280 + 30, 40 + 30)]
    picture = next(iter(serial_decode(output))).to_ndarray(format="bgr24")
    for (x, y), colour in zip(middles, colours, strict=True):
        assert np.abs(picture[y, x].astype(int) - np.array(colour)).max() < 12


def test_the_people_of_a_clip_are_shown_on_a_sheet_and_mapped(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    settings = FacesSettings(
        target=folder / "clip.mkv", folder=tmp_path, look=look_with(folder, chunk_seconds=0.5)
    )
    report = find_people(settings, NullObserver(), runtime=runtime)
    assert [(each.person, each.frames) for each in report.people] == [(1, FRAMES), (2, FRAMES - 6)]
    sheet = cv2.imread(str(report.sheet))
    assert sheet is not None
    assert sheet.shape == (CELL_PX + 36, 2 * CELL_PX, 3)
    for place, colour in enumerate(("magenta", "cyan")):
        middle = sheet[CELL_PX // 2, place * CELL_PX + CELL_PX // 2].astype(int)
        assert np.abs(middle - np.array(COLOURS_BGR[colour])).max() < 90
    text = report.map.read_text().replace(
        'person = 2\nsource = ""', 'person = 2\nsource = "me.png"'
    )
    report.map.write_text(text)
    (tmp_path / "me.png").write_bytes((folder / "me.png").read_bytes())
    selection = SelectionSettings(map_faces=report.map)
    output = tmp_path / "out.mkv"
    done = render(runtime, folder, output, "face_swapper", selection=selection, sources=())
    assert done.detector == "the face table"
    source, result = md5s(folder / "clip.mkv"), md5s(output)
    same = [i for i, (one, other) in enumerate(zip(source, result, strict=True)) if one == other]
    assert same == list(range(20, 26))


def test_faces_are_covered_on_the_sheet_where_privacy_is_asked_for(
    runtime: RayRuntime, folder: Path, tmp_path: Path
) -> None:
    sheets = []
    for cover in (False, True):
        settings = FacesSettings(
            target=folder / "clip.mkv", folder=tmp_path, cover=cover, look=look_with(folder)
        )
        report = find_people(settings, NullObserver(), runtime=runtime)
        sheet = cv2.imread(str(report.sheet))
        assert sheet is not None
        sheets.append(cv2.Laplacian(sheet[60:130, 60:130, 1], cv2.CV_64F).std())
    assert sheets[1] < 0.5 * sheets[0]
