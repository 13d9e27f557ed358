"""Bringing a catalogue file to its place: from the network or a folder, alone or out of a pack.

Not for: whether it may be fetched, or by whom of several processes (`farm.models.store`).
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import ModelError
from farm.models.catalogue import CatalogueEntry, Download, of_download
from farm.models.download import Fetched, OpenUrl, Progress, fetch, take_local


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where files come from."""

    from_dir: Path | None = None
    """A folder, instead of the network."""
    progress: Progress | None = None
    open_url: OpenUrl | None = None


def obtain(
    entry: CatalogueEntry, folder: Path, origin: Origin, expected_sha256: str | None
) -> Fetched:
    """Bring the file of an entry below `folder`; out of a pack, all of its known members.

    Args:
        entry: What is wanted.
        folder: The models directory.
        origin: Where it comes from.
        expected_sha256: Hash of the file that is pinned, where the entry states none.

    Raises:
        ModelError: It is not there, or not what was expected.
    """
    place = place_of(entry, folder)
    wanted = replace(entry.download, sha256=entry.download.sha256 or expected_sha256)
    if not entry.in_archive:
        return _bring(wanted, origin, [entry.name, entry.file_name, wanted.file_name], place)
    names = [entry.name, entry.file_name]
    if origin.from_dir is not None and _any_there(origin.from_dir, names):
        alone = replace(wanted, size_bytes=entry.size_bytes, sha256=entry.sha256)
        return take_local(alone, origin.from_dir, names, place)
    archive = folder / wanted.file_name
    fetched = _bring(wanted, origin, [archive.name], archive)
    try:
        for member in of_download(entry.download):
            _unpack(archive, member, place_of(member, folder))
    finally:
        archive.unlink(missing_ok=True)
    return fetched


def place_of(entry: CatalogueEntry, folder: Path) -> Path:
    """Where the file of an entry belongs below a models directory."""
    return folder.joinpath(*entry.name.split("/"))


def _bring(download: Download, origin: Origin, names: list[str], target: Path) -> Fetched:
    """One download, from the folder if there is one."""
    if origin.from_dir is not None:
        return take_local(download, origin.from_dir, names, target)
    return fetch(download, target, progress=origin.progress, open_url=origin.open_url)


def _any_there(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).is_file() for name in names)


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
