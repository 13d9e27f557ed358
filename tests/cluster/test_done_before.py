"""The same command again after a kill between the output's place and the end of the clean-up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import done_before
from cluster.commands import render
from cluster.runtime import RayRuntime
from farm.errors import FarmError, InputError
from farm.fault_settings import FaultSettings
from farm.manifest import manifest_path
from farm.observer import NullObserver
from farm.registry import JobRegistry
from farm.settings import RenderSettings
from farm.stop import StopRequest
from scheduler.ledger import Ledger
from tests.cluster.test_job_commands import Lent, settings_for
from tests.media_maker import Studio

pytestmark = pytest.mark.ray


class Killed(Exception):  # noqa: N818 - nothing went wrong in it
    """Stands for the end of the process."""


@pytest.fixture
def settings(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RenderSettings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("cluster.job.RayRuntime", lambda *_: Lent(runtime))
    return settings_for(
        media_studio.path("plain.mp4"), tmp_path / "out" / "out.mp4", chunk_seconds=0.5
    )


def run(settings: RenderSettings) -> Any:
    settings.output.parent.mkdir(exist_ok=True)
    return render(settings=settings, observer=NullObserver(), stop=StopRequest())


def run_killed(settings: RenderSettings, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Run until a function is called, and clean nothing up after that."""

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, kill)
        patch.setattr("cluster.job.remove_empty", lambda _: None)
        with pytest.raises(Killed):
            run(settings)


def left(settings: RenderSettings) -> set[str]:
    return {path.name for path in settings.output.parent.iterdir()}


def test_killed_before_the_manifest_was_written_it_is_written_and_nothing_is_rendered_again(
    settings: RenderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_killed(settings, monkeypatch, "cluster.commands.write_manifest")
    whole = settings.output.read_bytes()
    assert not manifest_path(settings.output).exists()
    found = run(settings)
    assert (found.exit_code, found.error) == (0, None)
    assert sum(worker["chunks"] for worker in found.document["report"]["workers"]) == 0
    assert settings.output.read_bytes() == whole
    assert left(settings) == {"out.mp4", "out.mp4.facefarm.json"}


def test_killed_while_the_folder_was_removed_it_is_finished_and_the_rest_is_removed(
    settings: RenderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_killed(settings, monkeypatch, "farm.job_folder.JobFolder._clear_encoders")
    made = settings.output.stat().st_ino
    assert left(settings) == {".out.mp4.facefarm", "out.mp4", "out.mp4.facefarm.json"}
    found = run(settings)
    assert (found.exit_code, found.lines) == (0, [f"{settings.output}: is finished already"])
    assert found.document["report"]["frames"] == 60
    assert settings.output.stat().st_ino == made
    assert left(settings) == {"out.mp4", "out.mp4.facefarm.json"}
    assert JobRegistry().jobs() == []


def test_an_output_that_was_altered_or_asked_for_in_another_way_is_never_touched(
    settings: RenderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_killed(settings, monkeypatch, "farm.job_folder.JobFolder._clear_encoders")
    other = settings_for(settings.target, settings.output, chunk_seconds=0.7)
    assert done_before.done_before(other) is None
    with pytest.raises(FarmError):
        run(other)
    altered = settings.output.read_bytes()[:-1] + b"x"
    settings.output.write_bytes(altered)
    with pytest.raises(InputError, match="is there already"):
        run(settings)
    assert settings.output.read_bytes() == altered


def test_a_kept_job_that_is_finished_says_so_and_stays(settings: RenderSettings) -> None:
    kept = replace(settings, faults=FaultSettings(keep_job=True))
    run(kept)
    assert run(kept).lines == [f"{settings.output}: is finished already"]
    (job,) = JobRegistry().jobs()
    with Ledger(job.folder) as ledger:
        assert ledger.state == "finished"
