"""`--on-chunk-error keep`, end to end: what no attempt renders shows what the source shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.worker import ChunkWorker
from cluster.commands import render
from cluster.runtime import RayRuntime
from farm.errors import JobError, SettingsError
from farm.fault_settings import FaultSettings, OnChunkError
from farm.observer import NullObserver
from farm.settings import ProcessorSettings, RenderSettings
from farm.stop import StopRequest
from tests.cluster.test_job_commands import Lent, settings_for
from tests.fidelity import COVERING
from tests.media_maker import Studio, serial_frames
from tests.model_maker import make_scrfd

pytestmark = pytest.mark.ray

BROKEN = 2
"""Number of the chunk that no attempt processes; its twelve frames show faces."""


@pytest.fixture
def settings(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RenderSettings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("cluster.job.RayRuntime", lambda *_: Lent(runtime))
    monkeypatch.setattr("actors.crew.ChunkWorker", broken_worker())
    (tmp_path / "out").mkdir()
    return settings_for(
        media_studio.path("faces_some.mp4"),
        tmp_path / "out" / "out.mp4",
        chunk_seconds=12 / 25,
        processors=ProcessorSettings(names=("debug_overlay",), detector="scrfd"),
        models=(("detector", make_scrfd(tmp_path / "scrfd.onnx")),),
        allow_unverified_models=True,
        faults=FaultSettings(on_chunk_error=OnChunkError.KEEP),
    )


def broken_worker() -> type[ChunkWorker]:
    """A worker that fails one chunk whenever it is to be processed."""
    broken = BROKEN

    class Broken(ChunkWorker):  # within a function, so that it travels to the worker as it is
        def __init__(self, *arguments: Any) -> None:
            from farm.render import ChunkRenderer

            super().__init__(*arguments)
            original = ChunkRenderer._process_chunk

            def process(self: Any, *arguments: Any) -> Any:
                work = next(each for each in arguments if hasattr(each, "task"))
                if work.task.chunk_index == broken and not work.task.keep:
                    raise RuntimeError("made to fail")
                return original(self, *arguments)

            ChunkRenderer._process_chunk = process  # type: ignore[method-assign, assignment]

    return Broken


def run(settings: RenderSettings) -> Any:
    return render(settings=settings, observer=NullObserver(), stop=StopRequest())


def test_a_chunk_that_no_attempt_renders_shows_the_source_and_is_listed_everywhere(
    settings: RenderSettings,
) -> None:
    found = run(settings)
    assert (found.exit_code, found.error) == (0, None)
    assert found.document["report"]["kept"] == [[24, 36]]
    assert "  kept      frames 24 to 36 as they were" in found.lines
    said = "frames 24 to 36 could not be rendered and are kept as they were"
    assert said in found.document["report"]["notes"]
    before = [frame.md5 for frame in serial_frames(settings.target)]
    after = [frame.md5 for frame in serial_frames(settings.output)]
    assert len(after) == len(before) == 72
    assert after[24:36] == before[24:36]
    assert not set(after[36:48]) & set(before[36:48]), "the other faces are drawn over"


def test_without_it_the_job_fails_and_names_the_frames(settings: RenderSettings) -> None:
    with pytest.raises(JobError, match="frames 24 to 36"):
        run(replace(settings, faults=FaultSettings()))
    assert not settings.output.exists()


def test_it_is_refused_where_faces_are_hidden(settings: RenderSettings) -> None:
    with pytest.raises(SettingsError, match="would show faces that are to be anonymised"):
        run(replace(settings, processors=COVERING))
    assert not settings.output.exists()
