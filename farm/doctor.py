"""What this machine has, what is missing, and how to mend it.

Everything that can be tried is tried: encoders encode, execution providers run a network, ffmpeg
answers. A part that breaks becomes a finding, never an end of the report.
Not for: the quick guard at the start of a command (`farm.environment`).
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from farm.environment import (
    environment_conflicts,
    explain_import_error,
    farm_version,
    installed_version,
    installed_versions,
)
from farm.errors import FarmError
from farm.node.examine import usable_memory_bytes
from farm.node.processor import usable_cores
from farm.summary import size

_PYTHON = (3, 11)
_PROGRAM_TIMEOUT_S = 20
_MODULES = ("av", "cv2", "numpy", "onnxruntime", "insightface", "ffmpeg", "imageio_ffmpeg")
_LEAST_FREE_BYTES = 2 << 30


class State(StrEnum):
    """How a part of the machine is."""

    OK = "ok"
    ABSENT = "absent"
    """Not there, and not needed for a render on this machine."""
    BROKEN = "broken"
    """Needed and missing, or there and not working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part that the doctor looked at."""

    section: str
    name: str
    state: State
    value: str
    mend: str = ""
    """What to do about it; empty where there is nothing to do."""


def examine(models_dir: Path | None = None) -> list[Finding]:
    """Look at everything; takes a few seconds.

    Args:
        models_dir: Where models lie; None is the default below the user's cache.
    """
    sections: list[Callable[[], Iterable[Finding]]] = [
        _python,
        _packages,
        _ffmpeg,
        _providers,
        _encoders,
        _machine,
        _gpus,
        lambda: _models(models_dir),
        _profiles,
    ]
    return [finding for section in sections for finding in section()]


def is_fit(findings: Iterable[Finding]) -> bool:
    """Whether nothing that a render needs is broken."""
    return all(finding.state is not State.BROKEN for finding in findings)


def doctor_lines(findings: Iterable[Finding]) -> list[str]:
    """The report for people: a heading for each section, a mark for each finding."""
    marks = {State.OK: "+", State.ABSENT: "-", State.BROKEN: "!"}
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines.append(section)
        lines.append(f"  {marks[finding.state]} {finding.name}: {finding.value}")
        if finding.mend:
            lines.append(f"      mend: {finding.mend}")
    return lines


def _python() -> Iterable[Finding]:
    """Python, the farm, and whether two libraries spoil one another."""
    version = platform.python_version()
    fits = tuple(int(part) for part in platform.python_version_tuple()[:2]) >= _PYTHON
    yield Finding(
        section="python",
        name="python",
        state=State.OK if fits else State.BROKEN,
        value=f"{version} on {platform.platform(terse=True)}",
        mend="" if fits else "install Python 3.11",
    )
    yield Finding(section="python", name="facefarm", state=State.OK, value=farm_version())
    for conflict in environment_conflicts():
        yield Finding(
            section="python",
            name="conflict",
            state=State.BROKEN,
            value=conflict.partition(": ")[0],
            mend=conflict.partition(": ")[2],
        )


def _packages() -> Iterable[Finding]:
    """Versions of the libraries, and whether those that a render needs can be imported."""
    for name, version in installed_versions().items():
        if name != "facefarm":
            yield Finding(section="packages", name=name, state=State.OK, value=version)
    if importlib.util.find_spec("ray") is None:
        error = ModuleNotFoundError("ray", name="ray")
        yield _broken("packages", "ray", explain_import_error(error))
    for module in _MODULES:
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Finding(
                section="packages",
                name=module,
                state=State.BROKEN,
                value="cannot be imported",
                mend=explain_import_error(error).message,
            )


def _ffmpeg() -> Iterable[Finding]:
    """The bundled ffmpeg and the system's."""
    bundled = _bundled_ffmpeg()
    system = shutil.which("ffmpeg")
    for name, path in (("bundled", bundled), ("system", system)):
        version = _program_line([path, "-hide_banner", "-version"]) if path else None
        needed = name == "bundled" and system is None
        yield Finding(
            section="ffmpeg",
            name=name,
            state=State.OK if version else State.BROKEN if needed else State.ABSENT,
            value=f"{version} ({path})" if version else "not there",
            mend="" if version or not needed else "run `pip install --no-deps imageio-ffmpeg`",
        )


def _bundled_ffmpeg() -> str | None:
    """Path of the ffmpeg that the wheel brings."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError, OSError):
        return None


def _providers() -> Iterable[Finding]:
    """Execution providers: built in, and whether each one really runs a network."""
    from farm.models.session import PROVIDERS, available_providers, choose_provider

    try:
        built_in = available_providers()
    except FarmError as error:
        yield _broken("providers", "onnxruntime", error)
        return
    for name in built_in:
        try:
            choose_provider(name)
        except FarmError as error:
            yield Finding(
                section="providers",
                name=name,
                state=State.BROKEN if name == "cpu" else State.ABSENT,
                value="built in, does not load",
                mend=error.message,
            )
        else:
            yield Finding(section="providers", name=name, state=State.OK, value="runs a network")
    missing = [name for name in PROVIDERS if name not in built_in]
    runtime = "onnxruntime-gpu" if installed_version("onnxruntime-gpu") else "onnxruntime"
    if missing:
        yield Finding(
            section="providers",
            name="not built in",
            state=State.ABSENT,
            value=f"{', '.join(missing)} (in the installed {runtime})",
        )


def _encoders() -> Iterable[Finding]:
    """Encoders, each tried on real frames."""
    try:
        from farm.encoder_trial import try_encoder
        from farm.media.encoder_names import HARDWARE_CODECS, SOFTWARE_CODECS, is_listed
    except ImportError as error:
        yield _broken("encoders", "PyAV", explain_import_error(error))
        return
    listed = [name for name in HARDWARE_CODECS if is_listed(name)]
    for name in (*SOFTWARE_CODECS, *listed):
        problem = try_encoder(name)
        software = name in SOFTWARE_CODECS
        yield Finding(
            section="encoders",
            name=name,
            state=State.OK if problem is None else State.BROKEN if software else State.ABSENT,
            value="encodes and decodes back" if problem is None else problem,
            mend="install av (PyAV) again from its wheel" if problem and software else "",
        )


def _machine() -> Iterable[Finding]:
    """Cores, memory and disk."""
    yield Finding(section="machine", name="cores", state=State.OK, value=str(usable_cores()))
    memory = size(usable_memory_bytes())
    yield Finding(section="machine", name="memory", state=State.OK, value=memory)
    free = shutil.disk_usage(Path.cwd()).free
    enough = free >= _LEAST_FREE_BYTES
    yield Finding(
        section="machine",
        name="disk here",
        state=State.OK if enough else State.BROKEN,
        value=f"{size(free)} free in {Path.cwd()}",
        mend="" if enough else "free some space, or work in another folder",
    )


def _gpus() -> Iterable[Finding]:
    """NVIDIA's GPUs, as its driver lists them."""
    program = shutil.which("nvidia-smi")
    query = "--query-gpu=name,memory.total,driver_version"
    listed = _program_output([program, query, "--format=csv,noheader"]) if program else None
    if not listed:
        yield Finding(
            section="gpu",
            name="nvidia",
            state=State.ABSENT,
            value="nvidia-smi lists none" if program else "no nvidia-smi on this machine",
        )
        return
    for number, line in enumerate(listed.splitlines()):
        yield Finding(section="gpu", name=f"nvidia {number}", state=State.OK, value=line.strip())


def _models(models_dir: Path | None) -> Iterable[Finding]:
    """Model files: which are here, and where the others belong."""
    from farm.models.catalogue import CATALOGUE
    from farm.models.store import ModelStore

    folder = ModelStore(models_dir=models_dir).folder
    for entry in CATALOGUE:
        place = folder.joinpath(*entry.name.split("/"))
        there = place.stat().st_size if place.is_file() else None
        whole = there is not None and entry.size_bytes in (None, there)
        if there is None:
            mend = f"is fetched when it is needed; or put it at {place}, from {entry.download.url}"
        else:
            mend = "" if whole else f"delete {place}; it is fetched again when it is needed"
        yield Finding(
            section="models",
            name=f"{entry.kind.value} {entry.name}",
            state=State.OK if whole else State.ABSENT,
            value="missing" if there is None else size(there) if whole else "has another size",
            mend=mend,
        )


def _broken(section: str, name: str, error: FarmError) -> Finding:
    """A part that a render needs and that does not work."""
    return Finding(
        section=section, name=name, state=State.BROKEN, value="does not work", mend=error.message
    )


def _program_line(command: list[str]) -> str | None:
    """First line that a program answers, None when it does not run."""
    output = _program_output(command)
    return output.splitlines()[0] if output else None


def _program_output(command: list[str]) -> str | None:
    """What a program writes to stdout, None when it does not run or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _profiles() -> Iterable[Finding]:
    """What was tuned on this machine."""
    from farm.profile import profiles_here

    found = profiles_here()
    for processors, profile in found.items():
        yield Finding(section="tuning", name=processors, state=State.OK, value=profile)
    if not found:
        yield Finding(
            section="tuning",
            name="profile",
            state=State.ABSENT,
            value="none; renders take the usual workers and threads",
            mend="`facefarm tune CLIP` finds the fastest on this machine",
        )
