"""Faces look the same however a clip is cut into chunks, and do not flicker at the cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from farm.faces.flicker import report_of
from farm.paste_settings import FaceMask, PasteSettings, SwapSize
from farm.process import FaceJob
from farm.processors.base import FaceFrame
from farm.processors.face_swapper import FaceSwapper
from farm.render import ChunkRenderer
from farm.report import FlickerReport
from farm.settings import ProcessorSettings
from scheduler.chunks import Lead
from tests.faces.moving import swaying, textured_pictures
from tests.model_maker import (
    COLOURS_BGR,
    embedding_of,
    make_enhancer,
    make_painter,
    make_parser,
    make_scrfd,
)
from tests.rendering import blocks_of, face_job, job_for, serial_md5s, shown_md5s, task_of

FRAMES, RATE = 40, 20
WHOLE_S, CUT_S = 10.0, 0.3
FULL = PasteSettings(mouth_mask=True, color_transfer=True, sharpness=0.5, swap_size=SwapSize.AUTO)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that sways before a textured background, without loss."""
    path = tmp_path_factory.mktemp("clip") / "face.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv444p"
        for number, picture in enumerate(textured_pictures(FRAMES, {"magenta": swaying})):
            frame = VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format="yuv444p", threads=1
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, Path], ...]:
    folder = tmp_path_factory.mktemp("models")
    return (
        ("detector", make_scrfd(folder / "d.onnx")),
        ("swapper", make_painter(folder / "s.onnx")),
        ("enhancer", make_enhancer(folder / "e.onnx", 64)),
        ("parser", make_parser(folder / "p.onnx", size_px=128)),
    )


def job_of(models: tuple[tuple[str, Path], ...], *names: str, paste: PasteSettings) -> FaceJob:
    settings = ProcessorSettings(names=names, many_faces=True, detector="scrfd", paste=paste)
    source = tuple(float(v) for v in embedding_of(COLOURS_BGR["cyan"]))
    return replace(face_job(settings, models), source_embedding=source, frame_size=(400, 300))


def rendered(
    clip: Path, folder: Path, faces: FaceJob, seconds: float
) -> tuple[list[str], FlickerReport | None, int]:
    """Hashes of all frames, the flicker, and the number of chunks."""
    lead = Lead(before=faces.cover_gaps, after=faces.cover_gaps)
    job = job_for(clip, folder, chunk_seconds=seconds, lead=lead, faces=faces)
    blocks = blocks_of(job)
    renderer = ChunkRenderer(job.setup)
    tasks = [task_of(job, i) for i in range(len(job.chunks))]
    futures = [renderer.submit(task, lambda _: blocks) for task in tasks]
    renderer.close()
    results = [future.result() for future in futures]
    assert sum(result.faces for result in results) == FRAMES
    return shown_md5s(job), report_of(result.flicker for result in results), len(job.chunks)


@pytest.mark.parametrize(
    "names",
    [
        ("face_swapper",),
        ("face_swapper", "face_enhancer"),
        ("face_anonymizer",),
        ("face_swapper", "debug_overlay"),
    ],
)
def test_one_chunk_and_many_give_the_same_pixels(
    clip: Path, tmp_path: Path, models: tuple[tuple[str, Path], ...], names: tuple[str, ...]
) -> None:
    faces = job_of(models, *names, paste=FULL)
    whole, _, one = rendered(clip, tmp_path / "one", faces, WHOLE_S)
    cut, _, many = rendered(clip, tmp_path / "many", faces, CUT_S)
    assert one == 1
    assert many > 4
    assert cut == whole
    assert len(set(whole)) == FRAMES


def test_at_opacity_0_every_frame_is_the_sources_bit_for_bit(
    clip: Path, tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    hidden = replace(FULL, opacity=0.0, face_mask=FaceMask.PARSER)
    faces = job_of(models, "face_swapper", "face_enhancer", paste=hidden)
    assert rendered(clip, tmp_path, faces, CUT_S)[0] == serial_md5s(clip)


def test_default_settings_do_not_flicker_at_the_borders_of_chunks(
    clip: Path,
    tmp_path: Path,
    models: tuple[tuple[str, Path], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every pair of frames flickers as much at a border as it does in the middle of a chunk."""
    monkeypatch.setattr("farm.faces.flicker.EVERY_FRAMES", 1)
    faces = job_of(models, "face_swapper", paste=PasteSettings())
    whole = rendered(clip, tmp_path / "one", faces, WHOLE_S)[1]
    _, cut, many = rendered(clip, tmp_path / "many", faces, CUT_S)
    assert whole is not None
    assert cut is not None
    assert (whole.inside_pairs, whole.border_pairs) == (FRAMES - 1, 0)
    assert (cut.inside_pairs, cut.border_pairs) == (FRAMES - many, many - 1)
    total = cut.inside * cut.inside_pairs + cut.borders * cut.border_pairs
    assert total == pytest.approx(whole.inside * whole.inside_pairs, abs=0.01)
    assert not cut.raised


def test_flicker_is_measured_where_processors_see_frames_around_their_own(
    clip: Path, tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    faces = job_of(models, "face_swapper", paste=PasteSettings())
    alone = rendered(clip, tmp_path / "alone", faces, CUT_S)
    around = rendered(clip, tmp_path / "around", replace(faces, cover_gaps=2), CUT_S)
    assert alone[1] is not None
    assert around == alone


def test_a_processor_that_works_anew_in_each_chunk_is_caught(
    clip: Path,
    tmp_path: Path,
    models: tuple[tuple[str, Path], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The measure would see it: here every chunk of six frames has a brightness of its own."""
    done: list[int] = []
    process = FaceSwapper.process

    def uneven(self: FaceSwapper, batch: Sequence[FaceFrame]) -> None:
        process(self, batch)
        for item in batch:
            level = 120 + 30 * (len(done) // 6 % 2)
            done.append(level)
            for face in item.selected:
                left, top, right, bottom = (int(v) for v in face.box_xyxy)
                size = (bottom - top, right - left)
                gray = np.full((*size, 3), level, np.uint8)
                item.frame.write_bgr(gray, np.ones(size, np.float32), (left, top, right, bottom))

    monkeypatch.setattr(FaceSwapper, "process", uneven)
    faces = job_of(models, "face_swapper", paste=PasteSettings())
    _, flicker, many = rendered(clip, tmp_path, faces, CUT_S)
    assert flicker is not None
    assert many > 4
    assert flicker.raised


def test_nothing_is_measured_where_no_face_is_replaced(
    clip: Path, tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    faces = job_of(models, "face_anonymizer", paste=PasteSettings())
    assert rendered(clip, tmp_path, faces, CUT_S)[1] is None
