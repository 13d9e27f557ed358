"""One attempt at a job of the queue: what earlier attempts left is used, and waited for.

An attempt may end at any moment: after the output got its name and before anybody noted it, or its
process may outlive its service for a while. Not for: choosing jobs (`cluster.service.service`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.command import CommandResult
from farm.errors import BusyError, DamagedSource, JobError
from farm.job_folder import default_job_dir
from farm.manifest import manifest_path, to_jsonable
from farm.models.hashes import sha256_of
from farm.observer import RenderObserver
from farm.settings import RenderSettings
from farm.storage import as_shown
from scheduler.driver_lease import is_driven

_POLL_S = 0.5
Render = Callable[[RenderSettings], CommandResult]


def attempt(
    settings: RenderSettings,
    render: Render,
    observer: RenderObserver,
    *,
    owns_output: bool,
    wait: Callable[[float], object] = time.sleep,
) -> CommandResult:
    """Render what no earlier attempt has rendered.

    Args:
        settings: The job.
        render: Renders it.
        observer: Told what is found.
        owns_output: Whether what is under the output's name was made by an earlier attempt.
        wait: Waits so many seconds.

    Raises:
        FarmError: It cannot be rendered.
    """
    while True:
        if owns_output:
            if (found := finished_before(settings)) is not None:
                observer.note("an earlier attempt had finished it")
                return found
            settings = replace(settings, overwrite=True)
        try:
            return render(settings)
        except BusyError as error:
            observer.note(f"waiting: {error.message}")
            _wait_until_free(settings, wait)


def finished_before(settings: RenderSettings) -> CommandResult | None:
    """What an earlier attempt said of the output; None unless the output is the one it means."""
    manifest = _manifest(settings.output)
    if manifest is None or _compared(manifest["settings"]) != _compared(
        to_jsonable(as_shown(settings))
    ):
        return None
    if sha256_of(settings.output) != manifest["report"]["output_sha256"]:
        return None
    damage = manifest["damage"]
    error = DamagedSource(f"{len(damage)} places of the source did not decode") if damage else None
    return CommandResult(document=manifest, lines=[], error=error)


def _manifest(output: Path) -> Mapping[str, Any] | None:
    """The manifest of an output that is there, None where there is no whole one."""
    if not output.is_file():
        return None
    try:
        found = json.loads(manifest_path(output).read_text(encoding="utf-8"))
        found["settings"], found["damage"], found["report"]["output_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it was not written any more: the job is rendered again
    manifest: Mapping[str, Any] = found
    return manifest


def _compared(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "overwrite"}


def _wait_until_free(settings: RenderSettings, wait: Callable[[float], object]) -> None:
    folder = settings.job_dir or default_job_dir(settings.output)
    while _is_driven(folder):
        wait(_POLL_S)


def _is_driven(folder: Path) -> bool:
    """Whether another driver is at work; the render says what else is wrong with the folder."""
    try:
        return is_driven(folder)
    except JobError:
        return False
