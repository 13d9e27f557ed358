from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.service.attempt import attempt
from farm.command import CommandResult
from farm.errors import BusyError, DamagedSource, FarmError, InputError
from farm.job_folder import default_job_dir
from farm.manifest import manifest_path, to_jsonable
from farm.models.hashes import sha256_of
from farm.observer import NullObserver
from farm.options import collect
from farm.settings import RenderSettings
from scheduler.ledger import Ledger


class Renders:
    """Stands in for the render: does as it was told, and keeps what was asked for."""

    def __init__(self, *errors: FarmError) -> None:
        self.asked: list[RenderSettings] = []
        self._errors = list(errors)

    def __call__(self, settings: RenderSettings) -> CommandResult:
        self.asked.append(settings)
        if self._errors:
            raise self._errors.pop(0)
        return CommandResult(document={"rendered": True}, lines=[])


@pytest.fixture
def settings(tmp_path: Path) -> RenderSettings:
    values = {"target": str(tmp_path / "in.png"), "output": str(tmp_path / "out.png")}
    made: RenderSettings = collect(RenderSettings, {**values, "frame_processor": ["none"]})
    return made


def finish(settings: RenderSettings, **changes: Any) -> None:
    """Leave what an attempt leaves that finished."""
    settings.output.write_bytes(b"picture")
    manifest = {
        "settings": to_jsonable(settings),
        "damage": [],
        "report": {"output_sha256": sha256_of(settings.output)},
    }
    text = json.dumps(manifest | changes)
    manifest_path(settings.output).write_text(text, encoding="utf-8")


def test_what_an_earlier_attempt_finished_is_not_rendered_again(settings: RenderSettings) -> None:
    finish(settings)
    renders = Renders()
    result = attempt(settings, renders, NullObserver(), owns_output=True)
    assert (result.exit_code, renders.asked) == (0, [])
    finish(settings, damage=[{"time_s": 1}])
    result = attempt(settings, renders, NullObserver(), owns_output=True)
    assert isinstance(result.error, DamagedSource)
    assert renders.asked == []


@pytest.mark.parametrize("what", ["no manifest", "half a manifest", "other bytes", "other options"])
def test_an_output_that_no_manifest_answers_for_is_rendered_again(
    settings: RenderSettings, what: str
) -> None:
    finish(settings)
    manifest = manifest_path(settings.output)
    if what == "no manifest":
        manifest.unlink()
    elif what == "half a manifest":
        manifest.write_text(manifest.read_text()[:40])
    elif what == "other bytes":
        settings.output.write_bytes(b"another picture")
    else:
        finish(replace(settings, video_stream=1))
    renders = Renders()
    attempt(settings, renders, NullObserver(), owns_output=True)
    assert [asked.overwrite for asked in renders.asked] == [True]


def test_somebody_elses_file_is_not_taken_for_the_output(settings: RenderSettings) -> None:
    finish(settings)
    renders = Renders(InputError("is there already"))
    with pytest.raises(InputError):
        attempt(settings, renders, NullObserver(), owns_output=False)
    assert [asked.overwrite for asked in renders.asked] == [False]


def test_an_attempt_that_has_not_ended_yet_is_waited_for(settings: RenderSettings) -> None:
    folder = default_job_dir(settings.output)
    folder.mkdir()
    waits: list[float] = []
    with Ledger(folder) as earlier:

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                earlier.close()

        renders = Renders(BusyError("process 1 works on this job"))
        result = attempt(settings, renders, NullObserver(), owns_output=True, wait=wait)
    assert result.document == {"rendered": True}
    assert (len(renders.asked), len(waits)) == (2, 3)


def test_an_attempt_that_ends_well_while_it_is_waited_for_is_enough(
    settings: RenderSettings,
) -> None:
    finish(settings)
    settings.output.rename(settings.output.with_name("later.png"))

    class Late(Renders):
        def __call__(self, asked: RenderSettings) -> CommandResult:
            settings.output.with_name("later.png").rename(settings.output)
            return super().__call__(asked)

    renders = Late(BusyError("process 1 works on this job"))
    result = attempt(settings, renders, NullObserver(), owns_output=True)
    assert "rendered" not in result.document
    assert len(renders.asked) == 1
