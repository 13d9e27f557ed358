from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cluster.parts import Again, check_joins, chunks_within, owners, parse_range
from cluster.plan import JobPlan
from farm.errors import SettingsError
from farm.settings import RenderSettings
from scheduler.ledger_records import Stretch
from tests.cluster.test_plan import plan as planned
from tests.media_maker import Studio


@pytest.fixture
def job(media_studio: Studio) -> JobPlan:
    """60 frames in 2 s, in chunks of about half a second."""
    return planned(media_studio.path("plain.mp4"), chunk_seconds=0.5)


def again(start: float, end: float | None) -> Again:
    stop = None if end is None else Fraction(str(end))
    settings = RenderSettings(target=Path("a.mp4"), output=Path("b.mp4"))
    return Again(start=Fraction(str(start)), end=stop, settings=settings)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("12.5-14", Fraction(25, 2), Fraction(14)),
        ("1:02-1:03.5", Fraction(62), Fraction(127, 2)),
        ("-10", Fraction(0), Fraction(10)),
        ("55-", Fraction(55), None),
    ],
)
def test_a_range_is_two_times_of_which_one_may_be_left_out(
    text: str, start: Fraction, end: Fraction | None
) -> None:
    assert parse_range(text) == (start, end)


@pytest.mark.parametrize("text", ["", "-", "12", "3-2", "2-2", "1-2-3", "a-b"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--range"):
        parse_range(text)


def test_every_chunk_that_shows_any_of_the_range_is_rendered_again(job: JobPlan) -> None:
    times = job.frames.output.times
    for number, chunk in enumerate(job.chunks):
        inside = float(times.seconds(chunk.frame_start)) + 0.001
        assert chunks_within(job, again(inside, inside + 0.001)) == range(number, number + 1)
        last = float(times.seconds(chunk.frame_stop - 1))
        assert chunks_within(job, again(last, last + 0.001)) == range(number, number + 1)
    assert chunks_within(job, again(0, None)) == range(len(job.chunks))
    border = float(times.seconds(job.chunks[1].frame_start))
    assert chunks_within(job, again(0, border)) == range(1)


def test_a_range_behind_the_end_is_refused(job: JobPlan) -> None:
    with pytest.raises(SettingsError, match=r"begins at 99 s, and the output ends at 2\.?\d* s"):
        chunks_within(job, again(99, None))


def test_the_last_that_was_asked_for_a_chunk_holds() -> None:
    asked = [
        Stretch(chunk_start=1, chunk_stop=4, fingerprint="second"),
        Stretch(chunk_start=3, chunk_stop=9, fingerprint="third"),
        Stretch(chunk_start=1, chunk_stop=2, fingerprint="base"),
    ]
    assert owners("base", asked, 6) == {"base": {0, 1}, "second": {2}, "third": {3, 4, 5}}


def test_settings_that_change_times_pictures_or_encoder_do_not_join(job: JobPlan) -> None:
    check_joins(job, replace(job, pixels="others"))
    others: dict[str, Any] = {
        "the size or kind of the pictures": replace(job, output=replace(job.output, width=64)),
        "where chunks begin": replace(job, chunks=job.chunks[:1]),
        "the source": replace(job, input_sha256="other"),
        "the encoder": replace(job, encoding=replace(job.encoding, parameter_sets=b"x")),
    }
    for said, other in others.items():
        with pytest.raises(SettingsError, match=f"would change {said}"):
            check_joins(job, other)
