"""Model files on this machine: found, fetched when missing, and opened only when believed.

Not for: whether a file may be believed (`farm.models.trust`), what is in the files
(`farm.models.graph`) or running them (`farm.models.session`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import filelock

from farm.errors import ModelError
from farm.models.catalogue import (
    CatalogueEntry,
    ModelKind,
    by_sha256,
    known_names,
    named,
    of_kind,
    of_pack,
)
from farm.models.download import Fetched, OpenUrl, Progress
from farm.models.hashes import remembered_sha256
from farm.models.obtain import Origin, obtain, place_of
from farm.models.pins import Pin, write_pin
from farm.models.trust import ModelFile as ModelFile
from farm.models.trust import check_file, expected_sha256, known_entry
from farm.names import require_known, unknown_name


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
    from_dir: Path | None = None
    """Folder that missing files are taken from, instead of the network."""
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
        return self.find_first(self.entries(what), given=_as_kind(what))

    def find_first(
        self, entries: Iterable[CatalogueEntry], *, given: ModelKind | None = None
    ) -> ModelFile:
        """The user's own file of kind `given`, else the first entry that is here, else fetched.

        Raises:
            ModelError: As for `find`.
        """
        choices = tuple(entries)
        if not choices and (given is None or self.given(given) is None):
            raise ModelError(
                f"the catalogue has no {given or 'such model'}: give a file of yours with "
                f"--model {given}=PATH and --allow-unverified-models"
            )
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
            if self.place(entry).is_file():
                return self._check(entry.kind, self.place(entry), entry)
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
            what = "is a folder, not a model file" if path.is_dir() else "there is no such file"
            raise ModelError(f"--model {kind}={path}: {what}")
        return self._check(kind, path, None)

    def place(self, entry: CatalogueEntry) -> Path:
        """Where the file of an entry belongs."""
        return place_of(entry, self.folder)

    def check(self, entry: CatalogueEntry) -> ModelFile:
        """The file of an entry that is here.

        Raises:
            ModelError: It is damaged, or nobody vouches for it.
        """
        return self._check(entry.kind, self.place(entry), entry)

    def known(self, sha256: str) -> CatalogueEntry | None:
        """The entry that a hash belongs to: as the catalogue states, or as it was pinned."""
        return known_entry(sha256, self.folder)

    def pull(self, what: str) -> tuple[ModelFile, ...]:
        """Have the files of a name, a kind's first or a whole pack here; fetched when missing.

        A file whose hash nobody states is pinned with its first download.

        Raises:
            SettingsError: The name is unknown.
            ModelError: A file cannot be fetched, or is damaged.
        """
        kind, pack = _as_kind(what), of_pack(what)
        entries = pack or (self.entries(what) if kind is None else of_kind(kind)[:1])
        return tuple(self._have(entry, pin=True) for entry in entries)

    def _have(self, entry: CatalogueEntry, *, pin: bool) -> ModelFile:
        """The file of an entry, fetched when it is missing."""
        if not self.place(entry).is_file():
            return self._fetch(entry, pin=pin)
        if pin and entry.sha256 is None:
            source = str(self.place(entry))
            sha256 = remembered_sha256(self.place(entry), self.folder)
            if by_sha256(sha256) is None:
                self._pin(entry, Fetched(sha256=sha256, source=source))
        return self._check(entry.kind, self.place(entry), entry)

    def _check(self, kind: ModelKind, path: Path, expected: CatalogueEntry | None) -> ModelFile:
        return check_file(kind, path, expected, self.folder, allow_unverified=self.allow_unverified)

    def _pin(self, entry: CatalogueEntry, fetched: Fetched) -> None:
        """Remember what was fetched first."""
        pin = Pin(
            sha256=fetched.sha256,
            size_bytes=self.place(entry).stat().st_size,
            source=fetched.source,
            pinned_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_pin(self.folder, entry.name, pin)

    def _fetch(self, entry: CatalogueEntry, *, pin: bool = False) -> ModelFile:
        """Fetch a missing entry; of several processes, one fetches and the others wait."""
        place = self.place(entry)
        if self.offline and self.from_dir is None:
            raise missing(entry, place, "not here, and nothing is fetched offline")
        if expected_sha256(entry, self.folder) is None and not (pin or self.allow_unverified):
            raise missing(
                entry,
                place,
                f"nobody states its hash, so `facefarm models pull {entry.name}` must fetch it "
                "once and pin it",
            )
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / f".{entry.download.file_name}.lock"):
                if not place.is_file():
                    fetched = self._obtain(entry)
                    if entry.sha256 is None and by_sha256(fetched.sha256) is None:
                        self._pin(entry, fetched)
        except ModelError as error:
            raise missing(entry, place, error.message) from error
        except OSError as error:
            raise missing(entry, place, f"cannot be written: {error.strerror or error}") from error
        return self._check(entry.kind, place, entry)

    def _obtain(self, entry: CatalogueEntry) -> Fetched:
        origin = Origin(from_dir=self.from_dir, progress=self.progress, open_url=self.open_url)
        return obtain(entry, self.folder, origin, expected_sha256(entry, self.folder))

    def entry_of(self, name: str) -> CatalogueEntry:
        """The entry with this name: of several the first whose file is here, else the first.

        Raises:
            SettingsError: The name is unknown; the message says the nearest.
        """
        entries = named(name)
        if not entries:
            raise unknown_name("model", name, [*map(str, ModelKind), *known_names()])
        return next((each for each in entries if self.place(each).is_file()), entries[0])

    def entries(self, what: str) -> tuple[CatalogueEntry, ...]:
        """Entries that a kind or a name stands for, best first.

        Raises:
            SettingsError: As for `entry_of`.
        """
        kind = _as_kind(what)
        return of_kind(kind) if kind is not None else (self.entry_of(what),)


def _as_kind(what: str) -> ModelKind | None:
    return ModelKind(what) if what in list(ModelKind) else None


def missing(entry: CatalogueEntry, place: Path, reason: str) -> ModelError:
    """The error that names the file, its place, its source and its licence."""
    inside = " (inside the zip file)" if entry.in_archive else ""
    known = "of unknown size" if entry.size_bytes is None else f"{entry.size_bytes} bytes"
    return ModelError(
        f"model {entry.name} is missing: {reason}; put it at {place} - "
        f"from {entry.download.url}{inside}, {known}, licence: {entry.licence}"
    )
