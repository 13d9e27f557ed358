"""What of the catalogue is here and whether it is whole: `facefarm models list`, `pull`, `verify`.

Not for: finding the files of a job (`farm.models.store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from farm.models import catalogue
from farm.models.catalogue import CatalogueEntry, of_pack
from farm.models.entry import ModelKind
from farm.models.hashes import refreshed_sha256, remembered_sha256
from farm.models.store import ModelFile, ModelStore, missing
from farm.models.trust import expected_sha256, known_entry
from farm.summary import size, table

NON_COMMERCIAL_NOTE = "non-commercial use only"


class ModelState(StrEnum):
    """How a catalogue file stands on this machine."""

    VERIFIED = "verified"
    PINNED = "pinned"
    """As it was first fetched; nobody states its hash."""
    MISSING = "missing"
    UNKNOWN = "not the known file"


@dataclass(frozen=True, slots=True, kw_only=True)
class StockItem:
    """One catalogue entry and its file on this machine."""

    name: str
    kind: ModelKind
    state: ModelState
    licence: str
    non_commercial: bool
    size_bytes: int | None
    """As published; None where nobody states it."""
    sha256: str | None
    """As published or pinned; None where nobody knows it."""
    found_sha256: str | None
    """Of the file here; None where there is none."""
    sources: tuple[str, ...]
    path: Path


def take_stock(
    store: ModelStore, *, names: Sequence[str] = (), fresh: bool = False
) -> list[StockItem]:
    """Say of every catalogue entry, or of those named, whether its file is here.

    Args:
        store: The models directory.
        names: Names of entries, packs or kinds; none for all.
        fresh: Read every file again, whatever is remembered of it.

    Raises:
        SettingsError: A name is unknown.
        ModelError: The pins cannot be read.
    """
    named = [entry for name in names for entry in of_pack(name) or store.entries(name)]
    entries = named if names else catalogue.CATALOGUE
    return [_item(store, entry, fresh) for entry in dict.fromkeys(entries)]


def model_path(store: ModelStore, name: str | None) -> Path:
    """The models directory, or the place of a file that is here.

    Raises:
        SettingsError: The name is unknown.
        ModelError: The file is missing, or not as expected.
    """
    if name is None:
        return store.folder
    entry = store.entry_of(name)
    if not store.place(entry).is_file():
        raise missing(entry, store.place(entry), "`facefarm models pull` has not fetched it")
    return store.check(entry).path


def is_whole(items: Sequence[StockItem], *, asked: bool) -> bool:
    """Whether nothing is damaged and, where names were asked for, nothing is missing."""
    bad = {ModelState.UNKNOWN, ModelState.MISSING} if asked else {ModelState.UNKNOWN}
    return not any(item.state in bad for item in items)


def stock_lines(items: Sequence[StockItem]) -> list[str]:
    """The table of `facefarm models list`: name, kind, size, state, licence, address, hash."""
    rows = [("NAME", "KIND", "SIZE", "STATE", "LICENCE")]
    for item in items:
        known = "unknown" if item.size_bytes is None else size(item.size_bytes)
        licence = item.licence.replace("\n", " ")
        rows.append((item.name, item.kind.value, known, item.state.value, licence))
    lines = table(rows, indent="")
    return [
        lines[0],
        *(
            line
            for row, item in zip(lines[1:], items, strict=True)
            for line in (row, *_details(item))
        ),
    ]


def pulled_lines(files: Sequence[ModelFile]) -> list[str]:
    """What `facefarm models pull` says: where each file lies and what its licence is."""
    lines = [f"{file.name}: {file.path}" for file in files]
    for licence in dict.fromkeys(file.licence for file in files):
        names = ", ".join(file.name for file in files if file.licence == licence)
        lines.append(f"  licence of {names}: {licence}")
    if any(file.is_non_commercial for file in files):
        lines.append(f"  note: {NON_COMMERCIAL_NOTE}; results made with such a model come under it")
    return lines


def _details(item: StockItem) -> list[str]:
    """Where an entry comes from, what it must be, and what it is instead."""
    hashed = item.sha256 or "unknown: the first download is pinned"
    lines = [f"    from {item.sources[0]}", f"    sha256 {hashed}"]
    if item.state is ModelState.UNKNOWN:
        lines.append(f"    found {item.found_sha256} at {item.path}: delete it and pull it again")
    return lines


def _item(store: ModelStore, entry: CatalogueEntry, fresh: bool) -> StockItem:
    """One entry and its file."""
    place = store.place(entry)
    read = refreshed_sha256 if fresh else remembered_sha256
    found = read(place, store.folder) if place.is_file() else None
    return StockItem(
        name=entry.name,
        kind=entry.kind,
        state=_state(store, entry, found),
        licence=entry.licence,
        non_commercial=entry.is_non_commercial,
        size_bytes=entry.size_bytes,
        sha256=expected_sha256(entry, store.folder),
        found_sha256=found,
        sources=(entry.download.url, *entry.download.mirrors),
        path=place,
    )


def _state(store: ModelStore, entry: CatalogueEntry, found: str | None) -> ModelState:
    if found is None:
        return ModelState.MISSING
    known = known_entry(found, store.folder)
    if known is None or known.kind is not entry.kind:
        return ModelState.UNKNOWN
    stated = found == known.sha256 or found in known.other_sha256
    return ModelState.VERIFIED if stated else ModelState.PINNED
