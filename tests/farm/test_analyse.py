from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farm.analyse import ChunkAnalyser
from farm.chunk_task import ChunkResult
from farm.errors import ChunkError, ModelError
from farm.faces.observe import Sight, segment_frames
from farm.faces.table import Origin
from farm.media.decode import DecoderClosedError
from farm.media.packets import PacketBlock
from farm.process import AnalysisJob
from farm.settings import ProcessorSettings
from scheduler.chunks import cut_at_anchors
from tests.faces.moving import Place, swaying, textured_pictures, write_clip
from tests.model_maker import make_arcface, make_scrfd
from tests.rendering import Job, blocks_of, face_job, job_for, task_of

FRAMES = 71


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A swaying face, a second one that comes late, a cut; with groups of different length."""

    def late(frame: int) -> Place | None:
        return (300, 20 + frame, 50) if frame >= 31 else None

    pictures = textured_pictures(FRAMES, {"magenta": swaying, "cyan": late}, [44])
    return write_clip(tmp_path_factory.mktemp("analyse") / "faces.mkv", pictures, gop=25)


@pytest.fixture
def analysers() -> Iterator[list[ChunkAnalyser]]:
    made: list[ChunkAnalyser] = []
    yield made
    for analyser in made:
        analyser.close()


def job_of(clip: Path, folder: Path, every: int, chunk_seconds: float, **changes: Any) -> Job:
    """An analysis of the clip with made models."""
    models = (
        ("detector", make_scrfd(folder / "scrfd.onnx", batch=True)),
        ("recognizer", make_arcface(folder / "arcface.onnx")),
    )
    analysis = AnalysisJob(detect_every=every, needs_landmarks=True, recognises=True)
    settings = ProcessorSettings(names=("face_anonymizer",), detector="scrfd")
    faces = replace(face_job(settings, models), analysis=analysis)
    job = job_for(clip, folder, faces=faces, analyse=True, **changes)
    distance = segment_frames(every)
    chunks = cut_at_anchors(job.index, job.plan, chunk_seconds, distance, (0, FRAMES))
    return replace(job, chunks=chunks)


def analyse(job: Job, analysers: list[ChunkAnalyser]) -> list[ChunkResult]:
    analyser = ChunkAnalyser(job.setup)
    analysers.append(analyser)
    blocks = blocks_of(job)

    def give(first: int) -> Iterator[PacketBlock]:
        yield from (block for block in blocks if block.stop > first)

    futures = [analyser.submit(task_of(job, i), give) for i in range(len(job.chunks))]
    return [future.result() for future in futures]


def as_numbers(sights: list[Sight]) -> list[Any]:
    """All that sights say, to be compared exactly."""
    return [
        (
            sight.origin,
            sight.cut_after,
            [
                (
                    face.box_xyxy.tolist(),
                    face.score,
                    np.asarray(face.landmarks_xy).tolist(),
                    None if face.embedding is None else face.embedding.tolist(),
                )
                for face in sight.faces
            ],
        )
        for sight in sights
    ]


@pytest.mark.parametrize("every", [1, 5])
def test_one_chunk_and_many_see_the_same_faces(
    clip: Path, tmp_path: Path, analysers: list[ChunkAnalyser], every: int
) -> None:
    whole = analyse(job_of(clip, tmp_path, every, 100.0), analysers)
    parts = analyse(job_of(clip, tmp_path, every, 0.3), analysers)
    assert (len(whole), len(parts)) == (1, -(-FRAMES // segment_frames(every)))
    seen = [sight for result in parts for sight in result.sights]
    assert as_numbers(seen) == as_numbers(whole[0].sights)
    assert len(seen) == sum(result.frames for result in parts) == FRAMES
    assert [len(sight.faces) for sight in seen] == [1 + (i >= 31) for i in range(FRAMES)]
    assert [i for i, sight in enumerate(seen) if sight.cut_after] == [43]
    assert sum(result.faces for result in parts) == 2 * FRAMES - 31
    assert (Origin.TRACKED in {sight.origin for sight in seen}) == (every > 1)


def test_what_decoding_asks_for_is_passed_on(
    clip: Path, tmp_path: Path, analysers: list[ChunkAnalyser]
) -> None:
    job = job_of(clip, tmp_path, 1, 0.3)
    analyser = ChunkAnalyser(job.setup)
    analysers.append(analyser)
    late = task_of(job, 1, shipped_from=job.chunks[1].packet_stop)
    with pytest.raises(DecoderClosedError):
        analyser.submit(late, lambda _first: iter(blocks_of(job))).result()


def test_an_error_of_a_network_names_the_chunk(
    clip: Path, tmp_path: Path, analysers: list[ChunkAnalyser], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cannot see")

    job = job_of(clip, tmp_path, 1, 100.0)
    monkeypatch.setattr("farm.faces.observe.Observer.look", fail)
    with pytest.raises(ChunkError, match=r"chunk 00000: analysing failed .*cannot see"):
        analyse(job, analysers)


def test_nothing_is_taken_after_closing_and_a_missing_model_is_said(
    clip: Path, tmp_path: Path, analysers: list[ChunkAnalyser]
) -> None:
    job = job_of(clip, tmp_path, 1, 100.0)
    analyser = ChunkAnalyser(job.setup)
    analyser.close()
    with pytest.raises(ChunkError, match="closed"):
        analyser.submit(task_of(job, 0), lambda _first: iter(()))
    without = replace(
        face_job(ProcessorSettings(names=("face_anonymizer",), detector="scrfd")),
        analysis=job.setup.faces.analysis,
    )
    with pytest.raises(ModelError):
        ChunkAnalyser(replace(job.setup, faces=without))
