"""Whether a model file may be believed: by its hash, a pin, or the report of an optimised copy.

Not for: finding or fetching files (`farm.models.store`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import ModelError
from farm.models.catalogue import CatalogueEntry, ModelKind, by_name, by_sha256
from farm.models.derived import OptimizeReport, read_report
from farm.models.hashes import remembered_sha256
from farm.models.pins import read_pins

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
    """Whether the hash is one that the catalogue states, was pinned, or leads back to one."""
    made_from: str | None = None
    """Of an optimised copy: the name of the model that it was made from."""

    @property
    def is_non_commercial(self) -> bool:
        """Whether its licence forbids commercial use."""
        return "non-commercial" in self.licence


def check_file(
    kind: ModelKind,
    path: Path,
    expected: CatalogueEntry | None,
    folder: Path,
    *,
    allow_unverified: bool,
) -> ModelFile:
    """The file with its hash, if it may be believed.

    Args:
        kind: What it is to do.
        path: The file.
        expected: The entry whose place it lies at; None for the user's own file.
        folder: The models directory, which holds the pins.
        allow_unverified: Whether unknown files are believed too.

    Raises:
        ModelError: It may not be believed, or cannot be read.
    """
    try:
        sha256 = remembered_sha256(path, folder)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    known = known_entry(sha256, folder)
    entry = expected or known
    file = ModelFile(
        kind=kind,
        path=path,
        name=entry.name if entry else path.name,
        sha256=sha256,
        licence=entry.licence if entry else _USERS_OWN,
        verified=known is not None and known.kind is kind,
    )
    if not file.verified and expected is None:
        file = _as_copy(file, folder, allow_unverified)
    if not file.verified and not allow_unverified:
        raise _unverified(path, sha256, expected_sha256(expected, folder), expected)
    return file


def known_entry(sha256: str, folder: Path) -> CatalogueEntry | None:
    """The entry that a hash belongs to: as the catalogue states, or as it was pinned."""
    stated = by_sha256(sha256)
    if stated is not None:
        return stated
    pinned = [name for name, pin in read_pins(folder).items() if pin.sha256 == sha256]
    return next((entry for entry in map(by_name, pinned) if entry and not entry.sha256), None)


def expected_sha256(entry: CatalogueEntry | None, folder: Path) -> str | None:
    """What the file of an entry must have: as stated, or as pinned; None when nobody knows."""
    if entry is None or entry.sha256 is not None:
        return entry.sha256 if entry else None
    pin = read_pins(folder).get(entry.name)
    return pin.sha256 if pin else None


def _as_copy(file: ModelFile, folder: Path, allow_unverified: bool) -> ModelFile:
    """The file as an optimised copy, if there is a report beside it that fits."""
    try:
        report = read_report(file.path)
    except ModelError:
        if allow_unverified:
            return file
        raise
    if report is None:
        return file
    source = known_entry(report.source_sha256, folder)
    reason = _misfit(report, file, source)
    if source is None or reason:
        if allow_unverified:
            return file
        raise ModelError(
            f"the report beside {file.path} does not fit: {reason}; make the copy again with "
            "facefarm models optimize, or add --allow-unverified-models"
        )
    return replace(
        file,
        name=f"{source.name} ({report.precision})",
        licence=source.licence,
        verified=True,
        made_from=source.name,
    )


def _misfit(report: OptimizeReport, file: ModelFile, source: CatalogueEntry | None) -> str | None:
    """Why the report does not vouch for the file; None when it does."""
    if report.output_sha256 != file.sha256:
        return "it is about another file"
    if report.kind != file.kind:
        return f"it is about a {report.kind}"
    if source is None or source.kind is not file.kind:
        return f"the copy was made from an unknown model ({report.source})"
    return None if report.is_good else "its measurements are below their floor"


def _unverified(
    path: Path, sha256: str, wanted: str | None, expected: CatalogueEntry | None
) -> ModelError:
    """The error for a file whose hash nobody vouches for."""
    if expected is None:
        return ModelError(
            f"{path} is not a model file that is known here (sha256 {sha256}); "
            "if you trust it, add --allow-unverified-models"
        )
    if wanted is None:
        return ModelError(
            f"nobody states the hash of {expected.name} (here it is {sha256}): "
            f"`facefarm models pull {expected.name}` pins this one, if you trust it"
        )
    return ModelError(
        f"{path} is not the {expected.name} that is known here (sha256 {sha256}, expected "
        f"{wanted}); delete it to have it fetched again, or add --allow-unverified-models"
    )
