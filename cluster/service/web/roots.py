"""Paths that come over HTTP must lie below the folders that the service was given.

Not for: who may ask at all (`cluster.service.web.guard`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from farm.config import checked_value, meant
from farm.errors import SettingsError
from farm.options import OptionKind, options_of
from farm.settings import RenderSettings
from scheduler.queue.records import NewJob

CLOSED = (
    "address",
    "job_dir",
    "c2pa_key",
    "c2pa_certificate",
    "ffmpeg",
    "encoder_option",
    "allow_unverified_models",
)
"""Options that are never taken over HTTP: they reach beyond the job, name secrets or programs, or
(an encoder's own options) files that it writes."""


def checked_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Option values by name, each what its option takes, none that is closed to HTTP.

    Raises:
        SettingsError: One is unknown, closed or of the wrong kind.
    """
    known = {spec.name: spec.kind for spec in options_of(RenderSettings)}
    values = {}
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in known:
            raise SettingsError(f"no option is called {key!r}{meant(key, known)}")
        if name in CLOSED:
            raise SettingsError(f"{key} cannot be set over HTTP")
        values[name] = checked_value("options", key, value, known[name], Path("/"))
    return values


def check_paths(
    targets: Sequence[str],
    sources: Sequence[str],
    output: str,
    values: Mapping[str, Any],
    roots: Sequence[Path],
) -> None:
    """Refuse a job whose paths lie elsewhere.

    Raises:
        SettingsError: One does.
    """
    folder = output.partition("{")[0] if "{" in output else output
    if ".." in Path(output).parts:
        raise SettingsError(f"{output}: must not contain '..'")
    for text in (*targets, *sources, folder, *_paths(values)):
        check_path(text, roots)


def check_path(text: str, roots: Sequence[Path]) -> None:
    """Refuse a path that is relative, or leads out of all roots, by links too.

    Raises:
        SettingsError: It does.
    """
    path = Path(text)
    if not roots:
        raise SettingsError(
            "no folder is open to HTTP: name some in the service's configuration ([web] roots)"
        )
    if "\0" in text or not path.is_absolute():
        raise SettingsError(f"{text!r}: must be an absolute path")
    if not any(path.resolve().is_relative_to(root) for root in roots):
        raise SettingsError(f"{text}: lies outside of {', '.join(map(str, roots))}")


def check_jobs(jobs: Sequence[NewJob], roots: Sequence[Path]) -> None:
    """Refuse jobs whose files lie elsewhere: a folder may hold links, a template may name one.

    Raises:
        SettingsError: One does.
    """
    for job in jobs:
        for path in (job.target, job.output, *job.values["source"]):
            check_path(str(path), roots)


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    """Paths among option values."""
    for spec in options_of(RenderSettings):
        value = values.get(spec.name)
        if value is None:
            continue
        if spec.kind is OptionKind.PATH:
            yield str(value)
        elif spec.kind is OptionKind.PATHS:
            yield from map(str, value)
        elif spec.kind is OptionKind.PAIRS:
            yield from (str(pair).partition("=")[2] for pair in value)
