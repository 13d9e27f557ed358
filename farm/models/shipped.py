"""Model files that a node was sent for a job: kept by their hash, shown as a models directory.

What may be believed was decided where the files came from; here only the hash counts. Not for:
sending them (`cluster.models`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from farm.errors import ModelError
from farm.models.hashes import sha256_of
from farm.models.store import ModelStore, default_models_dir
from farm.models.trust import ModelFile

_OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedModel:
    """One file of a job."""

    relative: str
    """Where it lies below the models directory, with slashes."""
    kind: str
    """What it does, for a file that the user named; empty for one of the catalogue."""
    source: Path
    """Where it lies on the driver's machine, and may lie here too."""
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSet:
    """All model files of a job."""

    models: tuple[ShippedModel, ...]

    @property
    def name(self) -> str:
        """Name of the set's folder, by what is in it."""
        key = [(model.relative, model.kind, model.sha256) for model in self.models]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def model_set(store: ModelStore, files: Sequence[ModelFile]) -> ModelSet:
    """Return what is to be sent of the files that a job uses."""
    return ModelSet(models=tuple(_shipped(store, file) for file in dict.fromkeys(files)))


def _shipped(store: ModelStore, file: ModelFile) -> ShippedModel:
    own = dict(store.overrides).get(file.kind) == file.path
    path = file.path.absolute()
    relative = f"{_OWN}/{file.kind}/{path.name}"
    if not own and path.is_relative_to(store.folder.absolute()):
        relative = path.relative_to(store.folder.absolute()).as_posix()
    return ShippedModel(
        relative=relative,
        kind=str(file.kind) if own else "",
        source=path,
        sha256=file.sha256,
        size_bytes=path.stat().st_size,
    )


def shipped_dir() -> Path:
    """Return where sent files lie on this machine: beside its own models."""
    return default_models_dir().parent / "shipped"


def missing_models(models: ModelSet) -> list[str]:
    """Return the hashes of the files that this machine lacks; what lies in place is taken.

    Raises:
        ModelError: The folder for them cannot be written.
    """
    try:
        return [model.sha256 for model in models.models if not _have(model)]
    except OSError as error:
        raise _cannot_keep(error) from error


def keep_model(sha256: str, pieces: Iterable[bytes]) -> None:
    """Keep a file that was sent.

    Raises:
        ModelError: It is not what was meant, or cannot be written.
    """
    digest, place = hashlib.sha256(), _place(sha256)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=".arriving-")
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != sha256:
                raise ModelError(f"a model that was sent arrived damaged ({sha256[:12]})")
            Path(name).replace(place)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_keep(error) from error


def shipped_store(models: ModelSet) -> ModelStore:
    """Return a store of exactly these files, which are here.

    Raises:
        ModelError: One is not, or the folder cannot be written.
    """
    folder = shipped_dir() / models.name
    try:
        for model in models.models:
            _link(_place(model.sha256), folder / model.relative)
    except OSError as error:
        raise _cannot_keep(error) from error
    return ModelStore(
        models_dir=folder,
        overrides=tuple((m.kind, folder / m.relative) for m in models.models if m.kind),
        allow_unverified=True,
        offline=True,
    )


def _have(model: ShippedModel) -> bool:
    """Tell whether a file is kept here, after a look at where the driver has it."""
    place = _place(model.sha256)
    if place.is_file() and place.stat().st_size == model.size_bytes:
        return True
    with suppress(OSError):  # It cannot be read here: it is sent.
        same_size = model.source.stat().st_size == model.size_bytes
        if same_size and sha256_of(model.source) == model.sha256:
            _link(model.source, place)
            return True
    return False


def _place(sha256: str) -> Path:
    return shipped_dir() / "by-hash" / sha256


def _link(source: Path, place: Path) -> None:
    """Show a file under another name, with no second copy where the disk allows it."""
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # Another worker was first.
        try:
            place.hardlink_to(source)
        except FileExistsError:
            raise
        except OSError:
            _copy(source, place)


def _copy(source: Path, place: Path) -> None:
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".arriving-")
    os.close(handle)
    try:
        shutil.copyfile(source, name)
        Path(name).replace(place)
    finally:
        Path(name).unlink(missing_ok=True)


def _cannot_keep(error: OSError) -> ModelError:
    return ModelError(
        f"models cannot be kept in {shipped_dir()} ({error.strerror or error}); free space there,"
        " or set XDG_CACHE_HOME on that node"
    )
