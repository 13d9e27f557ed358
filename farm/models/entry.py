"""The records of a model catalogue: what a file does, where it is published, what is known of it.

Not for: the published files themselves (`farm.models.catalogue`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ModelKind(StrEnum):
    """What a model does; the KIND of `--model KIND=PATH`."""

    DETECTOR = "detector"
    RECOGNIZER = "recognizer"
    SWAPPER = "swapper"
    ENHANCER = "enhancer"
    PARSER = "parser"
    CLASSIFIER = "classifier"
    INTERPOLATOR = "interpolator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file to fetch."""

    url: str
    size_bytes: int | None
    """None where it is not known for sure."""
    sha256: str | None
    """Lower-case hexadecimal; None where no trustworthy statement of it exists."""
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same bytes, tried in order when `url` fails."""

    @property
    def file_name(self) -> str:
        """Name of the file that is fetched."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One model file that the farm can use."""

    kind: ModelKind
    name: str
    """Path below the models directory, with `/`."""
    licence: str
    size_bytes: int | None
    sha256: str | None
    download: Download
    """The file itself, or the archive that holds it."""
    other_sha256: tuple[str, ...] = ()
    """Hashes of other published builds of the same network."""

    @property
    def in_archive(self) -> bool:
        """Whether the download is a zip file that holds the model."""
        return self.download.url.endswith(".zip")

    @property
    def file_name(self) -> str:
        """The last part of the name."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def pack(self) -> str | None:
        """Name of the archive that holds it, without `.zip`; None for a file of its own."""
        return self.download.file_name.removesuffix(".zip") if self.in_archive else None

    @property
    def is_non_commercial(self) -> bool:
        """Whether its licence forbids commercial use."""
        return "non-commercial" in self.licence
