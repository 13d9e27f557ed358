"""The farm's own code in a folder, as it is shipped to the nodes of a cluster.

Nodes need the libraries of the requirements and no facefarm: whatever version the driver has is
what runs everywhere. Not for: the libraries themselves.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import farm
from farm.environment import farm_version
from farm.scratch import scratch_folder

PACKAGES = ("farm", "actors", "scheduler", "cluster")
MODULES = ("cli.py",)
_IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it in what was submitted to it, whose code was shipped with it."""


@contextmanager
def staged_code() -> Iterator[Path]:
    """Give a folder with the code, as if it were installed there; it is deleted afterwards."""
    with scratch_folder("facefarm-code-") as folder:
        stage_code(folder)
        yield folder


def stage_code(folder: Path) -> None:
    """Copy the code of this process into a folder, without tests or anything compiled."""
    root = Path(farm.__file__).resolve().parent.parent
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for package in PACKAGES:
        shutil.copytree(root / package, folder / package, ignore=skip)
    for module in MODULES:
        shutil.copy2(root / module, folder / module)
    _write_metadata(folder)


def is_shipped() -> bool:
    """Tell whether this process runs in a job whose code Ray has shipped."""
    return _IN_A_JOB in os.environ


def _write_metadata(folder: Path) -> None:
    """Write what an installation would: the version and the entry points."""
    version = farm_version()
    place = folder / f"facefarm-{version}.dist-info"
    place.mkdir()
    head = f"Metadata-Version: 2.1\nName: facefarm\nVersion: {version}\n"
    (place / "METADATA").write_text(head, encoding="utf-8")
    try:
        entries = metadata.distribution("facefarm").read_text("entry_points.txt")
    except metadata.PackageNotFoundError:
        return  # A checkout that is not installed finds its own processors by their names.
    if entries:
        (place / "entry_points.txt").write_text(entries, encoding="utf-8")
