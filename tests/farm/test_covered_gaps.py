"""Anonymising covers a face that is lost for a few frames, however the video is cut."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from farm.chunk_task import ChunkResult
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import read_header, read_packets
from farm.settings import ProcessorSettings
from scheduler.chunks import Lead
from tests.faces.moving import Place, textured_pictures, write_clip
from tests.media.retimed_case import render_chunks
from tests.media_maker import serial_decode
from tests.model_maker import make_scrfd
from tests.rendering import ONE_FRAME_S, Job, face_job, job_for

FRAMES = 24
LOST = range(9, 12)
LONG_LOST = range(14, 20)
"""Longer than what is covered here."""
MOST = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who is away twice."""
    folder = tmp_path_factory.mktemp("gaps")

    def place(frame: int) -> Place | None:
        return None if frame in LOST or frame in LONG_LOST else (60 + frame, 40, 60)

    make_scrfd(folder / "scrfd.onnx", batch=True)
    write_clip(folder / "clip.mkv", textured_pictures(FRAMES, {"magenta": place}))
    return folder / "clip.mkv"


def _job(clip: Path, work: Path, gaps: int, chunk_seconds: float) -> Job:
    settings = ProcessorSettings(names=("face_anonymizer",), detector="scrfd")
    faces = face_job(settings, (("detector", clip.with_name("scrfd.onnx")),))
    return job_for(
        clip,
        work,
        chunk_seconds=chunk_seconds,
        lead=Lead(before=gaps, after=gaps),
        faces=replace(faces, cover_gaps=gaps),
    )


def _pictures(work: Path) -> list[str]:
    return [
        _md5(frame)
        for path in sorted(work.glob("*.chunk"))
        for frame in decode_packets(read_packets(path), read_header(path))
    ]


def _md5(frame: VideoFrame) -> str:
    return hashlib.md5(frame.to_ndarray(format="bgr24").tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """A render that covers gaps."""

    pictures: list[str]
    results: list[ChunkResult]
    stored: list[dict[str, Any]]


@pytest.fixture(scope="module", params=[100.0, 0.2, ONE_FRAME_S])
def covered(
    clip: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Covered:
    """The clip in one chunk, in a few, and in chunks of one frame."""
    work = tmp_path_factory.mktemp("covered")
    results = render_chunks(_job(clip, work, MOST, request.param))
    stored = [read_header(path).info for path in sorted(work.glob("*.chunk"))]
    return Covered(pictures=_pictures(work), results=results, stored=stored)


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one chunk shows."""
    work = tmp_path_factory.mktemp("whole")
    render_chunks(_job(clip, work, MOST, 100))
    return _pictures(work)


@pytest.fixture(scope="module")
def uncovered(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is shown where gaps are left."""
    work = tmp_path_factory.mktemp("uncovered")
    render_chunks(_job(clip, work, 0, 100))
    return _pictures(work)


def test_frames_of_a_short_gap_are_covered_and_no_others(
    covered: Covered, uncovered: list[str]
) -> None:
    """Whichever way the clip is cut."""
    pairs = zip(uncovered, covered.pictures, strict=True)
    assert np.flatnonzero([a != b for a, b in pairs]).tolist() == list(LOST)


def test_one_chunk_and_many_cover_the_same(covered: Covered, whole: list[str]) -> None:
    assert covered.pictures == whole


def test_faces_that_were_put_in_are_counted_once(covered: Covered) -> None:
    results = covered.results
    filled = [(result.faces_filled, result.frames_filled) for result in results]
    assert tuple(map(sum, zip(*filled, strict=True))) == (len(LOST), len(LOST))
    assert sum(result.faces for result in results) == FRAMES - len(LONG_LOST)
    assert sum(result.frames_without_face for result in results) == len(LONG_LOST)
    assert [(info["faces_filled"], info["frames_filled"]) for info in covered.stored] == filled


def test_frames_that_are_kept_as_they_are_come_out_where_gaps_are_covered(
    clip: Path, tmp_path: Path
) -> None:
    job = _job(clip, tmp_path, MOST, 0.2)
    render_chunks(job, keep=True)
    assert _pictures(tmp_path) == [_md5(frame) for frame in serial_decode(clip)]
