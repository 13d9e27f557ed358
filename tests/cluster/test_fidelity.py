"""Every row of docs/fidelity.md, with the bundled ffmpeg and the system's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.observer import NullObserver
from tests.fidelity import COLUMNS, ROWS, Row, compare
from tests.media_maker import Studio

pytestmark = [pytest.mark.ray, pytest.mark.long]

PROGRAMS = {"bundled": None, "system": shutil.which("ffmpeg")}


@pytest.mark.parametrize("program", list(PROGRAMS))
@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
def test_what_the_table_says_is_kept_is_kept(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, row: Row, program: str
) -> None:
    if program == "system" and PROGRAMS["system"] is None:
        pytest.skip("no ffmpeg is installed here")
    chosen = PROGRAMS[program]
    source = media_studio.path(row.name)
    settings = row.render_settings(source, tmp_path)
    settings = replace(settings, ffmpeg=None if chosen is None else Path(chosen))
    report = render_video(settings, NullObserver(), runtime=runtime)
    kept = compare(row, source, settings.output)
    assert set(kept.texts) == set(COLUMNS)
    assert kept.differs <= row.changed, kept.texts
    assert row.said in " ".join(report.notes)
