"""What `facefarm tune` found to be fastest on this machine, kept for later renders.

One JSON file below the user's configuration folder; an entry holds for one machine (its processor,
cores and GPUs) and one set of processors. Not for: finding it (`cluster.tune`).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from farm.environment import farm_version
from farm.errors import InputError
from farm.node.gpus import NvmlBrokenError, list_gpus
from farm.node.processor import processor_name, usable_cores
from farm.precision import Precision
from farm.settings import RenderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The fastest of the ways that were tried."""

    workers: int
    threads: int
    """Of each worker's networks."""
    provider: str
    precision: Precision
    fps: float
    """That the trial reached."""
    clip: str
    """Name of the clip that was tried."""
    created: str
    """When, ISO 8601."""
    version: str
    """Of facefarm."""


def default_path() -> Path:
    """Where profiles lie."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "facefarm" / "profiles.json"


def machine_name() -> str:
    """What tells this machine from others of another speed."""
    try:
        gpus = [gpu.name for gpu in list_gpus()]
    except NvmlBrokenError:
        gpus = []
    return " + ".join([f"{usable_cores()} x {processor_name()}", *gpus])


def find_profile(settings: RenderSettings, path: Path | None = None) -> Profile | None:
    """The profile for this machine and these processors, None where nothing was tuned."""
    found = _read(path or default_path()).get(_key(settings))
    return None if found is None else _profile(found)


def profiles_here(path: Path | None = None) -> dict[str, str]:
    """What was tuned on this machine, in words, by the processors that it is for."""
    begin = f"{machine_name()}: "
    return {
        key.removeprefix(begin): describe(_profile(dict(found)))
        for key, found in _read(path or default_path()).items()
        if key.startswith(begin)
    }


def store_profile(settings: RenderSettings, profile: Profile, path: Path | None = None) -> Path:
    """Keep a profile, in place of an older one.

    Raises:
        InputError: It cannot be written.
    """
    file = path or default_path()
    profiles = _read(file) | {_key(settings): asdict(profile)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(profiles, indent=2) + "\n", encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot write the profile ({error.strerror})") from error
    return file


def with_profile(settings: RenderSettings, path: Path | None = None) -> tuple[RenderSettings, str]:
    """The settings with what was tuned, where the user has said nothing of it himself.

    Returns:
        The settings, and what is to be said of it; empty where nothing changed.
    """
    own = (settings.workers, settings.execution_threads, settings.execution_provider)
    if settings.address is not None or any(each is not None for each in own):
        return settings, ""
    profile = find_profile(settings, path)
    if profile is None:
        return settings, ""
    tuned = replace(
        settings,
        workers=profile.workers,
        execution_threads=profile.threads,
        execution_provider=profile.provider,
    )
    if settings.processors.precision is Precision.TF32:  # The default: nothing was said of it.
        tuned = replace(tuned, processors=replace(tuned.processors, precision=profile.precision))
    return tuned, f"as tuned on {profile.created[:10]} with {profile.clip}: {describe(profile)}"


def describe(profile: Profile) -> str:
    """A profile in a few words."""
    return (
        f"{profile.workers} x {profile.threads} threads on {profile.provider},"
        f" {profile.precision.value}, {profile.fps:.1f} fps"
    )


def now_text() -> str:
    """The time, for a new profile."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_version() -> str:
    """The version, for a new profile."""
    return farm_version()


def _profile(found: dict[str, Any]) -> Profile:
    precision = Precision(found.pop("precision"))
    return Profile(precision=precision, **found)


def _key(settings: RenderSettings) -> str:
    return f"{machine_name()}: {', '.join(settings.processors.names)}"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """All profiles; none where the file is missing or damaged, since they only save time."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
