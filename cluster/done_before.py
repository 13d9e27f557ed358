"""The same command again, after its job was finished: killed before it had cleaned up, or kept.

Not for: jobs that are not finished; they go on (`cluster.render`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.job_folder import JobFolder, default_job_dir
from farm.manifest import manifest_path
from farm.media.placed import is_own_output
from farm.registry import JobRegistry
from farm.settings import RenderSettings
from farm.stored_settings import store_settings
from scheduler.driver_lease import is_driven
from scheduler.ledger_tables import read_summary


def has_own_output(settings: RenderSettings) -> bool:
    """Tell whether the output that is there is this job's, unaltered: it may be replaced."""
    return is_own_output(_folder(settings), settings.output)


def done_before(settings: RenderSettings) -> dict[str, Any] | None:
    """Return the manifest of a job that is finished and was asked for in the same way.

    What a command that was killed had not cleaned up is removed. None where there is something to
    do: the job is not finished, its output was altered, or something else is asked for.
    """
    folder = _folder(settings)
    summary = read_summary(folder)
    if settings.overwrite or summary is None or summary.state != "finished":
        return None
    if not _is_the_same(settings, summary.settings) or is_driven(folder):
        return None
    manifest = _read(manifest_path(settings.output))
    if manifest is None or not has_own_output(settings):
        return None
    if not settings.faults.keep_job:
        JobFolder(folder, "").remove()
        JobRegistry().remove(summary.job_id)
    return manifest


def as_own(settings: RenderSettings) -> RenderSettings:
    """Return the settings where the same command has made the output, so that it may replace it."""
    summary = read_summary(_folder(settings))
    same = summary is not None and _is_the_same(settings, summary.settings)
    return replace(settings, overwrite=True) if same and has_own_output(settings) else settings


def _folder(settings: RenderSettings) -> Path:
    return settings.job_dir or default_job_dir(settings.output)


def _is_the_same(settings: RenderSettings, stored: Any) -> bool:
    """Tell whether a job was asked for in the same way."""
    return bool(stored) and _asked(stored) == _asked(store_settings(settings))


def _asked(stored: Any) -> dict[str, Any]:
    """Return what was asked for, without what only says how an output is put in place."""
    return {name: value for name, value in stored.items() if name not in ("overwrite", "job_dir")}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
