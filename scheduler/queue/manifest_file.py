"""Files of jobs to add: TOML, JSON or CSV, taken whole or not at all.

TOML: tables `[[job]]`, with `[defaults]` for all of them. JSON: `{"defaults": {}, "job": [{}]}`.
CSV: a row a job; several values of a cell are parted by `;`. The keys are the long options of
`facefarm queue add`, `target`, and `name`, by which `after` of a later job means it.
Not for: what a job is made of (`scheduler.queue.requests`).
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from farm.config import checked_value, meant
from farm.errors import InputError, SettingsError
from farm.options import OptionKind, options_of
from farm.settings import RenderSettings
from scheduler.queue.records import NewJob
from scheduler.queue.requests import JobRequest, build_jobs

_OWN = {
    "target": OptionKind.TEXTS,
    "output": OptionKind.TEXT,
    "source": OptionKind.TEXTS,
    "name": OptionKind.TEXT,
    "after": OptionKind.TEXTS,
    "priority": OptionKind.INTEGER,
    "tag": OptionKind.TEXTS,
    "not_before": OptionKind.TEXT,
    "window": OptionKind.TEXTS,
}
_MANY = (OptionKind.TEXTS, OptionKind.PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One job of a file."""

    where: str
    """For messages: file and line."""
    values: dict[str, Any]


def read_manifest(path: Path, defaults: Mapping[str, Any]) -> list[NewJob]:
    """The jobs of a file, in its order.

    Args:
        path: By its suffix `.toml`, `.json` or `.csv`.
        defaults: Values by name that stand behind those of the file.

    Raises:
        InputError: It cannot be read, or a target is not there.
        SettingsError: A key or value is wrong; the message says the line and the nearest name.
    """
    rows = _rows(path)
    if not rows:
        raise InputError(f"{path}: holds no job; write [[job]] with target and output")
    jobs: list[NewJob] = []
    names = {row.values["name"] for row in rows if row.values.get("name")}
    places: dict[str, tuple[int, ...]] = {}
    for row in rows:
        values = {**defaults, **row.values}
        _check_order(row, values.get("after", ()), places, names)
        made = _jobs(row, values, places, path.parent)
        first = len(jobs)
        jobs += made
        if name := values.get("name"):
            if name in places:
                raise SettingsError(f"{row.where}: two jobs are called {name!r}")
            places[name] = tuple(range(first, len(jobs)))
    return jobs


def parse_time(text: str, option: str = "--not-before") -> datetime:
    """Aware UTC of an ISO date and time; without a zone it is the local one.

    Raises:
        SettingsError: It is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise SettingsError(
            f"{option} {text}: write a date and time like 2026-11-24T22:00+01:00"
        ) from error


def _jobs(
    row: _Row, values: Mapping[str, Any], places: Mapping[str, tuple[int, ...]], folder: Path
) -> list[NewJob]:
    for key in ("target", "output"):
        if not values.get(key):
            raise SettingsError(f"{row.where}: this job has no {key}")
    after, after_new = _after(row, values.get("after", ()), places)
    own = {"target", "output", *_OWN}
    request = JobRequest(
        targets=tuple(values["target"]),
        sources=tuple(values.get("source", ())),
        output=values["output"],
        values={key: value for key, value in values.items() if key not in own},
        priority=values.get("priority", 0),
        tags=tuple(values.get("tag", ())),
        after=after,
        after_new=after_new,
        not_before=parse_time(values["not_before"]) if values.get("not_before") else None,
        windows=tuple(values.get("window", ())),
    )
    try:
        return build_jobs(request, folder)
    except SettingsError as error:
        raise SettingsError(f"{row.where}: {error.message}") from error
    except InputError as error:
        raise InputError(f"{row.where}: {error.message}") from error


def _check_order(
    row: _Row, after: Sequence[str], places: Mapping[str, object], names: Collection[str]
) -> None:
    """Refuse to wait for a job that does not stand before, so that none waits in a circle."""
    for name in after:
        if name in names and name not in places:
            raise SettingsError(
                f"{row.where}: waits for {name!r}, which does not stand before it; a job waits for"
                " earlier ones only, so that none waits in a circle"
            )


def _after(
    row: _Row, names: Sequence[str], places: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of jobs in the queue, and places in this file, that names mean."""
    numbers = tuple(int(name) for name in names if name.isdigit())
    words = [name for name in names if not name.isdigit()]
    for name in words:
        if name not in places:
            raise SettingsError(
                f"{row.where}: no job before this one is called {name!r}{meant(name, places)}"
            )
    return numbers, tuple(place for name in words for place in places[name])


def _rows(path: Path) -> list[_Row]:
    """The jobs of a file with their values checked, those of its defaults filled in."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read this manifest ({error})") from error
    known = {**{s.name: s.kind for s in options_of(RenderSettings)}, **_OWN}
    if path.suffix.lower() == ".csv":
        return _csv_rows(path, text, known)
    table = _table(path, text)
    defaults = _checked(path, text, table.pop("defaults", {}), known, 0)
    jobs = table.pop("job", [])
    for key in table:
        raise SettingsError(f"{path}{_line(text, key, 0)}: {key!r} is neither 'defaults' nor 'job'")
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise SettingsError(f"{path}: job must be a list of tables")
    return [
        _Row(
            where=f"{path}{_line(text, 'job', number)}",
            values={**defaults, **_checked(path, text, job, known, number)},
        )
        for number, job in enumerate(jobs)
    ]


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path}: is no valid {path.suffix.lstrip('.')}: {error}") from error
    if not isinstance(table, dict):
        raise SettingsError(f'{path}: must be an object like {{"job": [...]}}')
    return table


def _checked(
    path: Path, text: str, table: Mapping[str, Any], known: Mapping[str, OptionKind], number: int
) -> dict[str, Any]:
    """The values of a table by name, each what its option takes."""
    values = {}
    for key, value in table.items():
        where = f"{path}{_line(text, key, number)}"
        name = key.replace("-", "_")
        if name not in known:
            raise SettingsError(f"{where}: no option is called {key!r}{meant(key, known)}")
        values[name] = checked_value(where, key, value, known[name], path.parent)
    return values


def _csv_rows(path: Path, text: str, known: Mapping[str, OptionKind]) -> list[_Row]:
    reader = csv.DictReader(io.StringIO(text))
    for key in reader.fieldnames or ():
        if key.replace("-", "_") not in known:
            raise SettingsError(f"{path} line 1: no option is called {key!r}{meant(key, known)}")
    rows = []
    for cells in reader:
        where = f"{path} line {reader.line_num}"
        if None in cells:
            raise SettingsError(f"{where}: has more cells than the first line has names")
        values = {
            key.replace("-", "_"): _cell(where, key, text, known, path.parent)
            for key, text in cells.items()
            if text
        }
        rows.append(_Row(where=where, values=values))
    return rows


def _cell(where: str, key: str, text: str, known: Mapping[str, OptionKind], folder: Path) -> object:
    """The value of a cell, read as its option takes it."""
    kind = known[key.replace("-", "_")]
    value: object = text
    if kind in _MANY:
        value = [part.strip() for part in text.split(";")]
    elif kind is OptionKind.PAIRS:
        pairs = (part.partition("=") for part in text.split(";"))
        value = {name.strip(): path.strip() for name, _, path in pairs}
    elif kind in (OptionKind.INTEGER, OptionKind.NUMBER, OptionKind.FLAG):
        try:
            value = json.loads(text.strip().lower())
        except ValueError:
            value = text
    return checked_value(where, key, value, kind, folder)


def _line(text: str, key: str, number: int) -> str:
    """Where job `number` of a text sets a key: " line N", or nothing where it is not found."""
    lines = text.splitlines()
    start = 0
    if re.search(r"^\s*\[\[\s*job\s*\]\]", text, re.MULTILINE):
        heads = [i for i, line in enumerate(lines) if re.match(r"\s*\[\[\s*job\s*\]\]", line)]
        start = heads[min(number, len(heads) - 1)]
        if key == "job":
            return f" line {start + 1}"
    pattern = re.compile(
        rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=:\]]|.*["']{re.escape(key)}["']\s*:"""
    )
    for i in range(start, len(lines)):
        if pattern.match(lines[i]):
            return f" line {i + 1}"
    return ""
