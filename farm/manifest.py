"""The manifest beside an output: what was rendered from what, how, and with which versions.

Not for: measuring (`farm.spans`, `farm.meters`) or the text summary (`farm.summary`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from datetime import datetime
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.environment import installed_versions
from farm.errors import InputError
from farm.report import RenderReport
from farm.settings import RenderSettings

MANIFEST_SUFFIX = ".facefarm.json"
_FORMAT_VERSION = 1


def manifest_path(output: Path) -> Path:
    """Where the manifest of `output` lies: beside it, `out.mp4.facefarm.json`."""
    return output.with_name(output.name + MANIFEST_SUFFIX)


def build_manifest(
    settings: RenderSettings, report: RenderReport, *, created: datetime
) -> dict[str, Any]:
    """The manifest as data that JSON can hold.

    `altered` is true when a processor that edits pictures took part, whether or not it found faces.

    Args:
        settings: What was asked for.
        report: What was done.
        created: When the render ended, aware UTC.
    """
    others = [name for stretch in report.other_settings for name in stretch.altered_by]
    names = [name for name in settings.processors.names if name != "none"]
    processors = list(dict.fromkeys([*names, *others]))
    return {
        "format": "facefarm manifest",
        "format_version": _FORMAT_VERSION,
        "created": created.isoformat(timespec="seconds"),
        "complete": not report.damage,
        "damage": to_jsonable(report.damage),
        "altered": bool(processors),
        "altered_by": processors,
        "settings": to_jsonable(settings),
        "report": {k: v for k, v in to_jsonable(report).items() if k != "damage"},
        "versions": {
            "python": platform.python_version(),
            "platform": platform.platform(terse=True),
            **installed_versions(),
        },
    }


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest so that it is there completely or not at all.

    Raises:
        InputError: The folder cannot be written to.
    """
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write the manifest ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def to_jsonable(value: Any, *, name: str = "") -> Any:
    """`value` as JSON can hold it.

    Records become objects, paths and enums texts, bytes hex digits. A `Fraction` becomes seconds as
    a number where its field ends in `_s`, and else the text "numerator/denominator".
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_jsonable(getattr(value, f.name), name=f.name)
            for f in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): to_jsonable(item, name=str(key)) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset | range):
        return [to_jsonable(item, name=name) for item in value]
    if isinstance(value, Fraction):
        if name.endswith("_s"):
            return round(float(value), 9)
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    return value
