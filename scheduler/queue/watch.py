"""A watched folder: files that are complete become jobs of the queue.

A file is complete when it has not changed for a while and no process of this machine has it open
for writing. Not for: running what was added (`cluster.service`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil

from farm.command import CommandResult, Say
from farm.errors import FarmError, InputError
from farm.image_names import IMAGE_SUFFIXES
from farm.options import Option
from farm.preflight import check_names, check_processors
from farm.processors.registry import processor_names
from scheduler.queue.adding import add_jobs
from scheduler.queue.commands import RenderValues, Store, opened, user
from scheduler.queue.requests import VIDEO_SUFFIXES, JobRequest, build_jobs, settings_of
from scheduler.queue.store import QueueStore

_POLL_S = 2.0
_Facts = tuple[int, int]
"""Size and time of change."""


@dataclass(slots=True)
class _Seen:
    facts: _Facts
    since_s: float
    added: bool = False


class FolderWatch:
    """Looks into a folder again and again; time and open files are given, so tests need no wait."""

    def __init__(
        self, folder: Path, settle_s: float, is_open: Callable[[Path], bool] | None = None
    ) -> None:
        """Take the folder.

        Args:
            folder: To look into; not below it.
            settle_s: How long a file must not have changed.
            is_open: Whether a process is writing a file.
        """
        self._folder = folder
        self._settle_s = settle_s
        self._is_open = is_open or is_written
        self._seen: dict[Path, _Seen] = {}

    def complete(self, now_s: float) -> list[Path]:
        """Files that have become complete since the last look.

        Raises:
            InputError: The folder cannot be read.
        """
        there = self._files()
        self._seen = {path: seen for path, seen in self._seen.items() if path in there}
        return [path for path, facts in there.items() if self._is_complete(path, facts, now_s)]

    def _is_complete(self, path: Path, facts: _Facts, now_s: float) -> bool:
        seen = self._seen.get(path)
        if seen is None or seen.facts != facts:
            self._seen[path] = _Seen(facts, now_s)
            return False
        settled = now_s - seen.since_s >= self._settle_s and facts[0] > 0
        if seen.added or not settled or self._is_open(path):
            return False
        seen.added = True
        return True

    def _files(self) -> dict[Path, _Facts]:
        known = VIDEO_SUFFIXES | IMAGE_SUFFIXES
        found = {}
        try:
            for path in sorted(self._folder.iterdir()):
                if path.suffix.lower() in known and not path.name.startswith("."):
                    facts = path.stat()
                    found[path] = (facts.st_size, facts.st_mtime_ns)
        except FileNotFoundError as error:
            if not self._folder.is_dir():
                raise InputError(f"{self._folder}: there is no such folder") from error
        except OSError as error:
            raise InputError(f"{self._folder}: cannot be read ({error.strerror})") from error
        return found


def is_written(path: Path) -> bool:
    """Whether a process of this user has a file open for writing."""
    there = os.path.realpath(path)
    for process in psutil.process_iter():
        try:
            files = process.open_files()
        except (psutil.Error, OSError):
            continue  # it ended, or belongs to somebody else
        if any(f.path == there and getattr(f, "mode", "w") not in ("r",) for f in files):
            return True
    return False


def watch(
    *,
    folder: Annotated[Path, Option(positional=True, help="Folder to look into.")],
    to: Annotated[str, Option(help="Output of each file, like 'done/{stem}.mp4'.")],
    source: Annotated[
        tuple[str, ...], Option(short="s", unset="none", help="Image of the face to put in.")
    ] = (),
    settle_seconds: Annotated[
        float, Option(help="A file is complete when it has not changed for so long.", low=0)
    ] = 10.0,
    priority: Annotated[int, Option(help="Higher goes first.")] = 0,
    tag: Annotated[tuple[str, ...], Option(unset="none", help="Tag of the jobs.")] = (),
    once: Annotated[bool, Option(help="End when all files that are there were looked at.")] = False,
    store: Store = None,
    values: RenderValues,
    say: Say,
) -> CommandResult:
    """Add files that appear in a folder, until Ctrl-C."""
    looking = FolderWatch(folder.absolute(), settle_seconds)
    clock = threading.Event()
    request: Mapping[str, Any] = {
        "sources": source,
        "output": to,
        "values": values,
        "priority": priority,
        "tags": tag,
    }
    _check_options(values)
    added: list[int] = []
    with opened(store) as queue:
        started = datetime.now(UTC).timestamp()
        while True:
            now_s = datetime.now(UTC).timestamp()
            for path in looking.complete(now_s):
                added += _add(queue, request, path, say)
            if once and now_s - started > settle_seconds + 2 * _POLL_S:
                break
            clock.wait(_POLL_S)
    return CommandResult(document={"job_ids": added}, lines=[f"added {len(added)}"])


def _check_options(values: Mapping[str, Any]) -> None:
    """Refuse at once what every file would be refused for.

    Raises:
        SettingsError: A processor or another name is unknown.
    """
    asked = settings_of({**values, "target": "in.mp4", "output": "out.mp4", "source": []})
    check_processors(asked.processors.names, processor_names())
    check_names(asked)


def _add(queue: QueueStore, request: Mapping[str, Any], path: Path, say: Say) -> list[int]:
    """Add one file; what is wrong with it is said and does not end the watch."""
    try:
        jobs = build_jobs(JobRequest(targets=(str(path),), **request), Path.cwd())
        done = add_jobs(queue, jobs, who=user(), now=datetime.now(UTC))
    except FarmError as error:
        say(f"{path}: not added: {error.message}")
        return []
    say(f"{path}: {'added' if done.job_ids else 'was there already'}")
    return list(done.job_ids)
