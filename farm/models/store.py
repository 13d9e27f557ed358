"""Model files on this machine: found, fetched when missing, and believed only when their hash fits.

Not for: what is in the files (`farm.models.graph`) or running them (`farm.models.session`).
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from farm.errors import ModelError
from farm.models.catalogue import CATALOGUE, CatalogueEntry, ModelKind, by_name, by_sha256, of_kind
from farm.models.download import OpenUrl, Progress, fetch
from farm.models.hashes import remembered_sha256
from farm.names import require_known, unknown_name

_USERS_OWN = "unknown (your own file)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file that may be opened."""

    kind: ModelKind
    path: Path
    name: str
    """Name in the catalogue, or the file name of the user's own file."""
    sha256: str
    licence: str
    verified: bool
    """Whether the hash is one that the catalogue knows."""


def default_models_dir() -> Path:
    """The models directory below the user's cache."""
    home = Path.home()
    if sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "facefarm" / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStore:
    """The model files that one job may use."""

    models_dir: Path | None = None
    """Where catalogue files lie; None is `default_models_dir()`."""
    overrides: tuple[tuple[str, Path], ...] = ()
    """`--model KIND=PATH` pairs; they stand before the models directory."""
    allow_unverified: bool = False
    offline: bool = False
    """Whether a missing file is an error instead of a download."""
    progress: Progress | None = None
    open_url: OpenUrl | None = None

    def __post_init__(self) -> None:
        for kind, _path in self.overrides:
            require_known("--model", kind, [str(known) for known in ModelKind])

    @property
    def folder(self) -> Path:
        """The models directory."""
        return self.models_dir or default_models_dir()

    def for_worker(self) -> ModelStore:
        """The same store without its progress callback, which must not cross processes."""
        return replace(self, progress=None, open_url=None)

    def find(self, what: str) -> ModelFile:
        """The file for a kind (`swapper`) or a catalogue name; fetched when it is missing.

        Raises:
            SettingsError: `what` is neither a kind nor a name.
            ModelError: The file is missing and cannot be fetched, damaged or unverified.
        """
        return self.find_first(_entries(what), given=_as_kind(what))

    def find_first(
        self, entries: Iterable[CatalogueEntry], *, given: ModelKind | None = None
    ) -> ModelFile:
        """The user's own file of kind `given`, else the first entry that is here, else fetched.

        Raises:
            ModelError: As for `find`.
        """
        choices = tuple(entries)
        return self.have_first(choices, given=given) or self._fetch(choices[0])

    def have_first(
        self, entries: Iterable[CatalogueEntry], *, given: ModelKind | None = None
    ) -> ModelFile | None:
        """Like `find_first` without fetching: None when no file is here.

        Raises:
            ModelError: A file is here, but damaged or unverified.
        """
        own = self.given(given) if given else None
        if own is not None:
            return own
        for entry in entries:
            if self._place(entry).is_file():
                return self._check(entry.kind, self._place(entry), entry)
        return None

    def given(self, kind: ModelKind) -> ModelFile | None:
        """The user's own file of this kind, None when `--model` names none.

        Raises:
            ModelError: The file is missing, or unknown and `allow_unverified` is not set.
        """
        path = dict(self.overrides).get(kind)
        if path is None:
            return None
        if not path.is_file():
            raise ModelError(f"--model {kind}={path}: there is no such file")
        return self._check(kind, path, None)

    def _place(self, entry: CatalogueEntry) -> Path:
        return self.folder.joinpath(*entry.name.split("/"))

    def _check(self, kind: ModelKind, path: Path, expected: CatalogueEntry | None) -> ModelFile:
        """The file with its hash, if it may be believed."""
        try:
            sha256 = remembered_sha256(path, self.folder)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
        known = by_sha256(sha256)
        verified = known is not None and known.kind is kind
        if not verified and not self.allow_unverified:
            raise _unverified(path, sha256, expected)
        name = known.name if known else expected.name if expected else path.name
        licence = known.licence if known else expected.licence if expected else _USERS_OWN
        return ModelFile(
            kind=kind, path=path, name=name, sha256=sha256, licence=licence, verified=verified
        )

    def _fetch(self, entry: CatalogueEntry) -> ModelFile:
        """Fetch a missing entry; of several processes, one fetches and the others wait."""
        place = self._place(entry)
        if self.offline:
            raise _missing(entry, place, "not here, and nothing is fetched offline")
        if entry.sha256 is None and not self.allow_unverified:
            raise _missing(
                entry, place, "its hash is not known, so it needs --allow-unverified-models"
            )
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / f".{_archive_name(entry)}.lock"):
                if not place.is_file():
                    self._fetch_to(entry, place)
        except ModelError as error:
            raise _missing(entry, place, error.message) from error
        except OSError as error:
            raise _missing(entry, place, f"cannot be written: {error.strerror or error}") from error
        return self._check(entry.kind, place, entry)

    def _fetch_to(self, entry: CatalogueEntry, place: Path) -> None:
        """Fetch the file, or the archive and all of its models that the catalogue knows."""
        target = self.folder / _archive_name(entry) if entry.in_archive else place
        fetch(entry.download, target, progress=self.progress, open_url=self.open_url)
        if not entry.in_archive:
            return
        try:
            for member in CATALOGUE:
                if member.download == entry.download:
                    _unpack(target, member, self._place(member))
        finally:
            target.unlink(missing_ok=True)


def _entries(what: str) -> tuple[CatalogueEntry, ...]:
    """Entries that a kind or a name stands for, best first."""
    kind = _as_kind(what)
    if kind is not None:
        return of_kind(kind)
    entry = by_name(what)
    if entry is None:
        raise unknown_name("model", what, [*map(str, ModelKind), *(e.name for e in CATALOGUE)])
    return (entry,)


def _as_kind(what: str) -> ModelKind | None:
    return ModelKind(what) if what in list(ModelKind) else None


def _archive_name(entry: CatalogueEntry) -> str:
    """File name of what is downloaded."""
    return entry.download.url.rsplit("/", 1)[1]


def _unpack(archive: Path, entry: CatalogueEntry, place: Path) -> None:
    """Take one model out of a zip file: by its file name, never more bytes than it should have."""
    part = place.with_name(f"{place.name}.part")
    try:
        with zipfile.ZipFile(archive) as packed:
            member = _member(packed, place.name, archive)
            if member.file_size != entry.size_bytes:
                raise ModelError(f"{archive.name}: {place.name} has {member.file_size} bytes")
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(member) as source, part.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    except zipfile.BadZipFile as error:
        part.unlink(missing_ok=True)
        raise ModelError(f"{archive.name} is a damaged zip file: {error}") from error
    part.replace(place)


def _member(packed: zipfile.ZipFile, file_name: str, archive: Path) -> zipfile.ZipInfo:
    """The member with this file name, whatever folder it lies in."""
    for member in packed.infolist():
        if member.filename.replace("\\", "/").rsplit("/", 1)[-1] == file_name:
            return member
    raise ModelError(f"{archive.name} does not hold {file_name}")


def _missing(entry: CatalogueEntry, place: Path, reason: str) -> ModelError:
    """The error that names the file, its place, its source and its licence."""
    inside = " (inside the zip file)" if entry.in_archive else ""
    return ModelError(
        f"model {entry.name} is missing: {reason}; put it at {place} - "
        f"from {entry.download.url}{inside}, {entry.size_bytes} bytes, licence: {entry.licence}"
    )


def _unverified(path: Path, sha256: str, expected: CatalogueEntry | None) -> ModelError:
    """The error for a file whose hash nobody vouches for."""
    if expected is None:
        return ModelError(
            f"{path} is not a model file that is known here (sha256 {sha256}); "
            "if you trust it, add --allow-unverified-models"
        )
    return ModelError(
        f"{path} is not the {expected.name} that is known here (sha256 {sha256}, expected "
        f"{expected.sha256}); delete it to have it fetched again, or add --allow-unverified-models"
    )
