"""Where jobs' folders lie, so that they are found again by number: small files in the user's state.

Not for: what a job's folder holds (`farm.job_folder`).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from farm.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredJob:
    """A job that was begun on this machine by this user."""

    job_id: str
    folder: Path
    output: Path
    target: Path


def state_dir() -> Path:
    """Return the folder of what facefarm remembers for this user."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "facefarm"


class JobRegistry:
    """The jobs of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use `folder`, or the one below the user's state."""
        self._folder = folder or state_dir() / "jobs"

    def add(self, job: RegisteredJob) -> None:
        """Remember a job; a state folder that cannot be written costs the memory, not the job."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary = self._folder / f".{job.job_id}.{os.getpid()}"
            temporary.write_text(json.dumps(asdict(job), default=str, indent=2), encoding="utf-8")
            temporary.replace(self._folder / f"{job.job_id}.json")

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        with suppress(OSError):
            (self._folder / f"{job_id}.json").unlink(missing_ok=True)

    def jobs(self) -> list[RegisteredJob]:
        """Return the jobs whose folders are still there; others are forgotten."""
        found = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []:
            job = _read(path)
            if job is not None and job.folder.is_dir():
                found.append(job)
            else:
                self.remove(path.stem)
        return found

    def find(self, name: str) -> RegisteredJob:
        """Return the job with this number, or its beginning.

        Raises:
            InputError: There is none, or there are several.
        """
        fits = [job for job in self.jobs() if job.job_id.startswith(name)]
        if len(fits) != 1:
            what = "no job" if not fits else "more than one job"
            raise InputError(
                f"{name}: {what} is known by that number; `facefarm jobs list` shows all, and "
                "--job-dir names a folder"
            )
        return fits[0]


def _read(path: Path) -> RegisteredJob | None:
    """Return what a file says, None where it says nothing."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return RegisteredJob(
            job_id=str(values["job_id"]),
            folder=Path(values["folder"]),
            output=Path(values["output"]),
            target=Path(values["target"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
