"""Jobs made of what a user asked for: targets, sources, an output template and render options.

All settings are made, and so checked, before a job gets into the queue.
Not for: writing them there (`scheduler.queue.adding`) or reading manifests
(`scheduler.queue.manifest_file`).
"""

from __future__ import annotations

import glob
import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from farm.errors import InputError, SettingsError
from farm.image_names import IMAGE_SUFFIXES
from farm.manifest import to_jsonable
from farm.names import unknown_name
from farm.options import collect
from farm.preflight import check_asked, check_input
from farm.settings import RenderSettings
from scheduler.queue.records import NewJob
from scheduler.windows import parse_window

FIELDS = ("stem", "source", "number", "folder")
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
)
"""What is taken out of a folder of targets, beside images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """Renders as they were asked for: every target with every source."""

    targets: tuple[str, ...]
    """Files, patterns and folders."""
    sources: tuple[str, ...] = ()
    """Files, patterns and folders; the images of a folder are one person."""
    output: str
    """Template of the output's path, with the fields of `FIELDS`."""
    values: Mapping[str, Any]
    """Render options by name, without target, output and source."""
    priority: int = 0
    tags: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    after_new: tuple[int, ...] = ()
    not_before: datetime | None = None
    windows: tuple[str, ...] = ()


def build_jobs(request: JobRequest, folder: Path) -> list[NewJob]:
    """Make the jobs of a request.

    Args:
        request: What was asked for.
        folder: Where relative paths begin.

    Raises:
        InputError: A target or source is not there.
        SettingsError: A processor or another name is unknown, or an option, the template or a
            window is wrong.
    """
    for window in request.windows:
        parse_window(window)
    targets = [path for text in request.targets for path in _files(folder, text, "target")]
    people = [p for text in request.sources for p in _people(folder, text)] or [()]
    pairs = [(target, person) for target in targets for person in people]
    _check_template(request.output, len(targets), len(people))
    return [
        _job(request, folder, target, person, number)
        for number, (target, person) in enumerate(pairs, start=1)
    ]


def settings_of(job_values: Mapping[str, Any]) -> RenderSettings:
    """The settings of a job's stored option values.

    Raises:
        SettingsError: They are not what this version takes.
    """
    settings: RenderSettings = collect(RenderSettings, job_values)
    return settings


def _job(
    request: JobRequest, folder: Path, target: Path, person: tuple[Path, ...], number: int
) -> NewJob:
    output = _one_name(folder / _filled(request.output, target, person, number))
    values = {
        **request.values,
        "target": str(target),
        "output": str(output),
        "source": [str(path) for path in person],
    }
    settings = settings_of(values)
    check_asked(settings)
    return NewJob(
        target=target,
        output=output,
        values=values,
        digest=_digest(settings, target),
        priority=request.priority,
        tags=request.tags,
        after=request.after,
        after_new=request.after_new,
        not_before=request.not_before,
        windows=request.windows,
    )


def _one_name(path: Path) -> Path:
    """A path without `..` and links to folders, so that two names of one file are noticed."""
    return path.parent.resolve() / path.name


def _digest(settings: RenderSettings, target: Path) -> str:
    """Hash of a job's work: the target as it is now, and all settings that the output shows."""
    plain = replace(
        settings, overwrite=False, report=False, workers=None, address=None, job_dir=None
    )
    facts = target.stat()
    text = json.dumps([to_jsonable(plain), facts.st_size, facts.st_mtime_ns], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path, text: str, what: str) -> list[Path]:
    """Files of a path, folder or pattern, absolute, in order of their names."""
    path = (folder / Path(text).expanduser()).absolute()
    if path.is_dir():
        known = VIDEO_SUFFIXES if what == "target" else IMAGE_SUFFIXES
        found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in known)
        if not found:
            raise InputError(f"{path}: holds no file that can be a {what}")
        return found
    if not path.exists() and glob.has_magic(text):
        pattern = str(path.relative_to(path.anchor))
        found = sorted(p for p in Path(path.anchor).glob(pattern) if p.is_file())
        if not found:
            raise InputError(f"{text}: no file fits this pattern ({what})")
        return found
    check_input(path, what)
    return [path]


def _people(folder: Path, text: str) -> list[tuple[Path, ...]]:
    """The people of a source: each file is one, a folder is one with several images."""
    files = _files(folder, text, "source")
    return [tuple(files)] if (folder / Path(text).expanduser()).is_dir() else [(f,) for f in files]


def _check_template(template: str, targets: int, people: int) -> None:
    """Refuse unknown fields, and a template that gives several jobs one name."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise SettingsError(f"--output {template}: {error}; write {{{{ for a brace") from error
    for name in names:
        if name not in FIELDS:
            raise unknown_name("--output: the field", name, FIELDS)
    if targets > 1 and not names & {"stem", "number"}:
        raise SettingsError(
            f"--output {template}: put {{stem}} or {{number}} in, for {targets} targets"
        )
    if people > 1 and not names & {"source", "number"}:
        raise SettingsError(f"--output {template}: put {{source}} in, for {people} sources")


def _filled(template: str, target: Path, person: tuple[Path, ...], number: int) -> str:
    """The template with its fields filled in."""
    source = ""
    if person:
        source = person[0].stem if len(person) == 1 else person[0].parent.name
    return template.format(
        stem=target.stem, source=source, number=f"{number:04d}", folder=target.parent
    )
