"""The guard at the start: libraries that spoil one another, or that cannot be loaded.

Only installed metadata is read, no library is imported, so the guard costs a few milliseconds.
Not for: a full account of the machine (`farm.doctor`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from farm.errors import SetupError

_RIVALS: dict[str, tuple[str, ...]] = {
    "onnxruntime": (
        "onnxruntime-gpu",
        "onnxruntime",
        "onnxruntime-directml",
        "onnxruntime-openvino",
        "onnxruntime-rocm",
        "onnxruntime-migraphx",
        "onnxruntime-qnn",
        "onnxruntime-training",
    ),
    "cv2": (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
}
"""Import name, and the distributions that all write it in one folder; the first is kept."""

_REPORTED = (
    "av",
    "numpy",
    "ray",
    "insightface",
    "scikit-image",
    "ffmpeg-python",
    "imageio-ffmpeg",
    "click",
    "rich",
    *_RIVALS["onnxruntime"],
    *_RIVALS["cv2"],
)

_SYSTEM_LIBRARIES = {
    "libGL.so": "libgl1",
    "libgthread": "libglib2.0-0",
    "libglib": "libglib2.0-0",
}
"""Shared library, and the Debian package that holds it."""


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, None when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """Versions of facefarm and of the libraries that shape its output, by distribution."""
    found = {name: installed_version(name) for name in _REPORTED}
    return {
        "facefarm": farm_version(),
        **{name: version for name, version in found.items() if version is not None},
    }


def farm_version() -> str:
    """Version of the farm: as installed, or else as the checkout's `pyproject.toml` says."""
    version = installed_version("facefarm")
    if version is not None:
        return version
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if not project.is_file():
        return "unknown"
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def environment_conflicts(
    version_of: Callable[[str], str | None] = installed_version,
) -> list[str]:
    """One line for each library that is installed twice, with the commands that mend it."""
    lines = []
    for library, rivals in _RIVALS.items():
        versions = {name: version for name in rivals if (version := version_of(name))}
        if len(versions) > 1:
            kept, version = next(iter(versions.items()))
            lines.append(
                f"{' and '.join(versions)} are both installed and overwrite each other's"
                f" {library}: run `pip uninstall -y {' '.join(versions)}` and then"
                f" `pip install --no-deps {kept}=={version}`"
            )
    return lines


def check_environment(version_of: Callable[[str], str | None] = installed_version) -> None:
    """Refuse an environment in which two distributions hold the same library.

    Raises:
        SetupError: There is such a pair; the message holds the commands that mend it.
    """
    conflicts = environment_conflicts(version_of)
    if conflicts:
        raise SetupError("; ".join(conflicts))


def explain_import_error(error: ImportError) -> SetupError:
    """What to install when a library could not be imported."""
    text = str(error)
    for library, package in _SYSTEM_LIBRARIES.items():
        if library in text:
            return SetupError(
                f"OpenCV needs the system library {library}: run `apt-get install {package}`"
                " (Debian, Ubuntu), or put opencv-python-headless in the place of opencv-python"
            )
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        wanted = _distribution_of(package)
        return SetupError(
            f"the Python package {package!r} is missing: run `pip install --no-deps {wanted}`"
        )
    return SetupError(
        f"a library cannot be loaded: {' '.join(text.split())}; see `facefarm doctor`"
    )


def _distribution_of(module: str) -> str:
    """Name under which pip knows a module."""
    special = {
        "cv2": "opencv-python",
        "skimage": "scikit-image",
        "ffmpeg": "ffmpeg-python",
        "imageio_ffmpeg": "imageio-ffmpeg",
    }
    return special.get(module, re.sub("_", "-", module))
