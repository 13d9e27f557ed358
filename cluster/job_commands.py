"""`facefarm jobs`: what is kept of jobs; going on with it, cleaning it up.

Not for: the job itself (`cluster.render`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cluster.commands import result_again, result_of
from cluster.done_before import has_own_output
from cluster.parts import Again, parse_range
from farm.command import CommandResult
from farm.errors import InputError, JobError
from farm.job_folder import JobFolder
from farm.observer import RenderObserver
from farm.options import Option, OptionsOf, options_of, with_options
from farm.registry import JobRegistry
from farm.settings import RenderSettings
from farm.stop import StopRequest
from farm.stored_settings import restore_settings
from farm.summary import table
from scheduler.driver_lease import is_driven
from scheduler.ledger_tables import JobSummary, read_summary

_RUNNING = ("workers", "address", "max_memory", "execution_threads")
"""Options of who renders, which hold for the whole command."""
_MAY_DIFFER = ("sources", "processors", "selection", "analysis", "models_dir", "models")
_ALLOWED = frozenset(
    {
        *(spec.name for spec in options_of(RenderSettings) if spec.place[0] in _MAY_DIFFER),
        *("execution_provider", "allow_unverified_models", *_RUNNING),
    }
)
_FIXED = tuple(s.name for s in options_of(RenderSettings) if s.name not in _ALLOWED)
"""Options that a stretch shares with the rest: encoder, size, times, and where things lie."""

JobName = Annotated[
    str | None, Option(positional=True, help="Number of the job, or its beginning.")
]
JobDir = Annotated[Path | None, Option(unset="the job's own", help="Folder of a job, instead.")]


def list_jobs() -> CommandResult:
    """Show the jobs of this user that can be gone on with or rendered again."""
    rows = [
        {
            "id": job.job_id,
            "state": summary.state,
            "chunks": summary.chunks_done,
            "created": summary.created,
            "output": str(job.output),
        }
        for job in JobRegistry().jobs()
        if (summary := read_summary(job.folder)) is not None
    ]
    cells = [["id", "state", "chunks done", "created", "output"], *(row.values() for row in rows)]
    lines = table([list(row) for row in cells], indent="") if rows else ["no jobs are kept"]
    return CommandResult(document={"jobs": rows}, lines=lines)


def show_job(*, job: JobName = None, job_dir: JobDir = None) -> CommandResult:
    """Show what a job's ledger says."""
    folder, summary = _find(job, job_dir)
    document: dict[str, Any] = {
        "id": summary.job_id,
        "state": summary.state,
        "created": summary.created,
        "folder": str(folder),
        "chunks_done": summary.chunks_done,
        "attempts": summary.attempts,
        "failures": summary.failures,
        "settings": summary.settings,
    }
    shown = {**document, **_flat(summary.settings)} if summary.settings else document
    lines = [f"{name}: {value}" for name, value in shown.items() if name != "settings"]
    return CommandResult(document=document, lines=lines)


def resume_job(
    *,
    job: JobName = None,
    job_dir: JobDir = None,
    address: Annotated[str | None, Option(unset="as before", help="Ray to render on.")] = None,
    observer: RenderObserver,
    stop: StopRequest,
) -> CommandResult:
    """Go on with a job where it stopped."""
    folder, summary = _find(job, job_dir)
    settings = _settings(folder, summary)
    if address is not None:
        settings = replace(settings, address=address)
    return result_of(settings, observer, stop)


def rerender_job(
    *,
    job: JobName = None,
    job_dir: JobDir = None,
    where: Annotated[
        str,
        Option(
            name="range",
            metavar="START-END",
            help="Times in the output, each as --start and --end take them: 12.5-14, 1:02-1:03.5, "
            "55- (to the end). Chunks that show any of it are rendered again.",
        ),
    ],
    overwrite: Annotated[
        bool, Option(help="Replace an output that is not as this job made it.")
    ] = False,
    changes: Annotated[
        dict[str, Any], OptionsOf(record=RenderSettings, without=_FIXED, all_given=True)
    ],
    observer: RenderObserver,
    stop: StopRequest,
) -> CommandResult:
    """Render a stretch of a job again with other settings; what is not given stays as it was."""
    start, end = parse_range(where)
    folder, summary = _find(job, job_dir)
    settings = _settings(folder, summary)
    here = {name: value for name, value in changes.items() if name in _RUNNING}
    settings = with_options(settings, here)
    kept = replace(settings.faults, keep_job=True, replan=False)
    settings = replace(settings, faults=kept)
    settings = replace(settings, overwrite=overwrite or has_own_output(settings))
    again = Again(start=start, end=end, settings=with_options(settings, changes))
    return result_again(settings, again, observer, stop)


def clean_job(
    *,
    job: JobName = None,
    job_dir: JobDir = None,
    all_jobs: Annotated[bool, Option(name="all", help="All jobs that nobody works on.")] = False,
) -> CommandResult:
    """Delete a job's finished chunks and its ledger; outputs stay."""
    registry = JobRegistry()
    known = [each.folder for each in registry.jobs()]
    folders = known if all_jobs else [_find(job, job_dir)[0]]
    cleaned = []
    for folder in folders:
        summary = read_summary(folder)
        if summary is not None and is_driven(folder):
            if not all_jobs:
                raise JobError(f"{folder}: a command works on this job; stop it first")
            continue
        JobFolder(folder, "").remove()
        if summary is not None:
            registry.remove(summary.job_id)
        cleaned.append(str(folder))
    return CommandResult(
        document={"cleaned": cleaned}, lines=[f"cleaned {each}" for each in cleaned] or ["nothing"]
    )


def _find(job: str | None, job_dir: Path | None) -> tuple[Path, JobSummary]:
    """Return the folder of a job and what its ledger says.

    Raises:
        InputError: There is none.
    """
    if (job is None) == (job_dir is None):
        raise InputError("name a job by its number (`facefarm jobs list`), or by --job-dir")
    folder = JobRegistry().find(job).folder if job is not None else Path(job_dir or "")
    summary = read_summary(folder)
    if summary is None:
        raise InputError(f"{folder}: holds no job (there is no ledger)")
    return folder, summary


def _settings(folder: Path, summary: JobSummary) -> RenderSettings:
    """Return a job's settings, with the folder that it lies in now."""
    if not summary.settings:
        raise JobError(f"{folder}: the job had not begun; run its command again")
    return replace(restore_settings(summary.settings), job_dir=folder.absolute())


def _flat(settings: Any, name: str = "") -> dict[str, Any]:
    """Return nested settings by their full names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{name}{key}.")
        elif value not in (None, [], False):
            found[f"{name}{key}"] = value
    return found
