"""Inputs and outputs at addresses (`s3://`, `gs://`, `http://`): fetched before, delivered after.

A render works on local files. What lies at an address is copied to a folder of the user's cache,
which stays until the output is delivered, so that a run that was broken off goes on. An address is
shown without user, password and query, which may hold credentials. Not for: models
(`farm.models.download`) or the files themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from farm.errors import FarmError, InputError, JobError, SettingsError, SetupError
from farm.files import write_atomically
from farm.manifest import MANIFEST_SUFFIX, manifest_path
from farm.models.store import default_models_dir
from farm.settings import RenderSettings

Say = Callable[[str], None]
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)")
_READ_ONLY = ("http", "https")
_PIECE_BYTES = 8 << 20
_STATE = "fetched.json"


def address_of(path: Path) -> str | None:
    """Return the address that a user wrote, None for a path of this machine.

    A `Path` keeps one of the slashes behind the colon.
    """
    match = _ADDRESS.fullmatch(str(path))
    if match is None or match[1] not in _protocols():
        return None
    root = "/" if match[1] in ("file", "local") else ""
    return f"{match[1]}://{root}{match[2]}"


def shown(address: str) -> str:
    """Return an address as it may be shown: without user, password and query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def staged(settings: RenderSettings, say: Say) -> Iterator[RenderSettings]:
    """Give the settings with local files in the place of addresses; deliver the output at the end.

    Args:
        settings: As the user gave them.
        say: Told what goes on.

    Raises:
        InputError: Something cannot be fetched, or the place of the output cannot be written.
        JobError: The finished output cannot be delivered; it stays here, and is named.
        SettingsError: An option does not go with an address.
        SetupError: What an address needs is not installed.
    """
    output = address_of(settings.output)
    if output is None and not any(map(address_of, (settings.target, *settings.sources))):
        yield settings
        return
    folder = stage_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    if output is not None:
        _check_output(settings, output)
    target, *sources = (
        _local(path, folder / str(number), say)
        for number, path in enumerate((settings.target, *settings.sources))
    )
    local = replace(settings, target=target, sources=tuple(sources))
    if output is not None:
        (folder / "out").mkdir(exist_ok=True)
        local = replace(local, output=folder / "out" / _name(output), overwrite=True)
    yield local
    if output is not None:
        _deliver(local.output, output, say)
    shutil.rmtree(folder, ignore_errors=True)


def as_shown(settings: RenderSettings) -> RenderSettings:
    """Return the settings for a manifest: addresses without what may be a credential."""
    return replace(
        settings,
        target=_shown_path(settings.target),
        sources=tuple(map(_shown_path, settings.sources)),
        output=_shown_path(settings.output),
    )


def _shown_path(path: Path) -> Path:
    address = address_of(path)
    return path if address is None else Path(shown(address))


def stage_folder(settings: RenderSettings) -> Path:
    """Return the folder of this machine for what the addresses of a job hold."""
    key = [str(path) for path in (settings.target, *settings.sources, settings.output)]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    return default_models_dir().parent / "stage" / name


def fetch(address: str, folder: Path, say: Say) -> Path:
    """Copy what lies at an address, unless it is here already and has not changed there.

    Raises:
        InputError: It is not there or cannot be read.
        SetupError: What the address needs is not installed.
    """
    place, state = folder / _name(address), folder / _STATE
    folder.mkdir(parents=True, exist_ok=True)
    with _errors(address, "cannot be read"):
        files, path = _files(address)
        version = _version(files, path)
        if place.is_file() and version is not None and _read(state) == version:
            return place
        say(f"fetching {shown(address)}")
        state.unlink(missing_ok=True)
        with files.open(path, "rb") as source:
            write_atomically(place, iter(lambda: source.read(_PIECE_BYTES), b""))
    if version is not None:
        write_atomically(state, [version.encode()])
    return place


def _local(path: Path, folder: Path, say: Say) -> Path:
    address = address_of(path)
    return path if address is None else fetch(address, folder, say)


def _check_output(settings: RenderSettings, output: str) -> None:
    """Refuse before the render what could not be delivered after it."""
    if urlsplit(output).scheme in _READ_ONLY:
        raise SettingsError(f"-o/--output {shown(output)}: a web address cannot be written")
    if settings.keep_frames:
        raise SettingsError("--keep-frames needs an --output on this machine, not an address")
    with _errors(output, "cannot be written"):
        files, path = _files(output)
        if files.exists(path) and not settings.overwrite:
            raise InputError(f"{shown(output)} is there already; give --overwrite to replace it")


def _deliver(local: Path, output: str, say: Say) -> None:
    """Copy the finished output and its manifest; the manifest first, so that none is missing."""
    say(f"delivering {shown(output)}")
    try:
        with _errors(output, "cannot be written"):
            files, path = _files(output)
            with contextlib.suppress(NotImplementedError):  # Object stores have no folders.
                files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            manifest = manifest_path(local)
            if manifest.is_file():
                files.put_file(str(manifest), path + MANIFEST_SUFFIX)
            files.put_file(str(local), path)
            if files.size(path) != local.stat().st_size:
                raise OSError("it arrived with another size")
    except FarmError as error:
        raise JobError(
            f"{error.message}; the finished output is {local}: copy it from there, or run the"
            " command again"
        ) from error


@contextmanager
def _errors(address: str, what: str) -> Iterator[None]:
    """Say what failed without the words of libraries, which may hold the whole address."""
    try:
        yield
    except FarmError:
        raise
    except ImportError as error:
        raise SetupError(
            f"{shown(address)} needs {error.name or 'a library'}: run"
            " `pip install --no-deps -r requirements/storage.txt`"
        ) from error
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{shown(address)} {what} ({reason})") from None


def _files(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path there."""
    import fsspec

    files, path = fsspec.core.url_to_fs(address)
    return files, str(path)


def _version(files: Any, path: str) -> str | None:
    """Return what changes when a remote file does, None where it does not say."""
    details = files.info(path)
    told = {
        name: str(details[name])
        for name in ("size", "ETag", "etag", "mtime", "LastModified", "created")
        if details.get(name) is not None
    }
    return json.dumps(told, sort_keys=True) if len(told) > 1 else None


def _read(state: Path) -> str | None:
    return state.read_text(encoding="utf-8") if state.is_file() else None


def _name(address: str) -> str:
    """Return the last part of an address, which becomes a file's name."""
    return PurePosixPath(urlsplit(address).path).name or urlsplit(address).netloc or "file"


def _protocols() -> frozenset[str]:
    from fsspec.registry import known_implementations, registry

    return frozenset(known_implementations) | frozenset(registry)
