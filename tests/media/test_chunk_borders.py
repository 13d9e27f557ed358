"""Filters and other times do not show where chunks meet: one chunk gives the pictures of many."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from farm.media import reshape
from farm.media.plan import FramePlan
from farm.media.reshape import Reshape, output_stream
from farm.media.retime import at_rate, trim
from tests.media.retimed_case import render_chunks
from tests.media_maker import Studio
from tests.rendering import ONE_FRAME_S, Job, job_for, shown_md5s

WHOLE_S = 1000.0
PRIME_S = 7 / 30
SHAPES = {
    "as it is": Reshape(),
    "deinterlaced": Reshape(deinterlace=True),
    "scaled": Reshape(size=(320, 192)),
    "deinterlaced and scaled": Reshape(deinterlace=True, size=(96, 64)),
}


def same(plan: FramePlan) -> FramePlan:
    return plan


def middle(plan: FramePlan) -> FramePlan:
    return trim(plan, Fraction(1, 3), Fraction(3, 2))


TIMES = {
    "same times": same,
    "faster": partial(at_rate, rate=Fraction(50)),
    "slower": partial(at_rate, rate=Fraction(12)),
    "trimmed": middle,
}


def rendered(source: Path, folder: Path, shape: Reshape, times: Any, seconds: float) -> Job:
    """All chunks of one length."""
    job = job_for(source, folder, chunk_seconds=seconds, retimed=times, reshape=shape)
    job = job_for(
        source,
        folder,
        chunk_seconds=seconds,
        retimed=times,
        reshape=shape,
        output=output_stream(job.index.stream, shape),
    )
    render_chunks(job)
    return job


EVERY = [(shape, times, PRIME_S) for shape in SHAPES for times in TIMES]
EVERY += [("deinterlaced", times, ONE_FRAME_S) for times in ("same times", "faster")]


@pytest.mark.parametrize(("shape", "times", "seconds"), EVERY)
def test_many_chunks_show_what_one_shows(
    media_studio: Studio, tmp_path: Path, shape: str, times: str, seconds: float
) -> None:
    source = media_studio.path("interlaced.mp4")
    one = rendered(source, tmp_path / "one", SHAPES[shape], TIMES[times], WHOLE_S)
    many = rendered(source, tmp_path / "many", SHAPES[shape], TIMES[times], seconds)
    assert len(one.chunks) == 1 < len(many.chunks)
    assert shown_md5s(many) == shown_md5s(one)


def test_a_filter_that_looks_at_other_frames_would_show(
    media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reshape, "_DEINTERLACING", ("yadif", "mode=send_frame:deint=interlaced"))
    source, shape = media_studio.path("interlaced.mp4"), Reshape(deinterlace=True)
    one = rendered(source, tmp_path / "one", shape, same, WHOLE_S)
    many = rendered(source, tmp_path / "many", shape, same, PRIME_S)
    assert shown_md5s(many) != shown_md5s(one)
