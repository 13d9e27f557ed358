"""The map of faces: a TOML file that says which source goes onto whom.

    faces = "faces.json"              # the face table of the clip; left out, the clip is analysed

    [[map]]
    source = "me.jpg"                 # or a list of images of one person; "" for nobody
    person = 1                        # as the face table numbers people

    [[map]]
    source = ["you.jpg", "you2.jpg"]
    reference = "them.png"            # an image, or a list of images, of who is meant

    [[map]]
    source = "it.png"
    at = 12.5                         # second of the clip
    number = 2                        # which face it is there
    order = "left-to-right"

Paths begin at the folder of the file. Not for: casting (`farm.who`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farm.errors import InputError, SettingsError
from farm.face_settings import FaceOrder
from farm.faces.json_values import JsonValues, shown
from farm.settings import RenderSettings

_FIELDS = ("source", "person", "reference", "at", "number", "order")
_TARGETS = ("person", "reference", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One person of the clip, and who is put onto them."""

    where: str
    """What messages call it."""
    sources: tuple[Path, ...]
    """Images of one person; none leaves whoever is meant as they are."""
    person: int | None = None
    references: tuple[Path, ...] = ()
    at_s: float | None = None
    number: int = 1
    order: FaceOrder = FaceOrder.LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceMap:
    """The file."""

    faces: Path | None
    """The face table of the clip."""
    entries: tuple[MapEntry, ...]
    """Those that have a source."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every source image, once."""
        return tuple(dict.fromkeys(path for entry in self.entries for path in entry.sources))


def read_map(path: Path) -> FaceMap:
    """Read a map and see that it says what a map must.

    Raises:
        InputError: It cannot be read, or something in it is not as it must be.
    """
    name = f"--map-faces {path}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: is no TOML ({error})") from error
    reader = _Reader(name, path.absolute().parent)
    top = reader.record(document, "the file", ("faces", "map"))
    faces = top.get("faces")
    entries = [
        reader.entry(each, f"map[{i}]")
        for i, each in enumerate(reader.items(top.get("map"), "[[map]]"))
    ]
    if faces is None:
        for entry in entries:
            if entry.person is not None:
                reader.refuse(f'{entry.where}.person is of a face table: say which, faces = "..."')
    used = tuple(entry for entry in entries if entry.sources)
    if not used:
        reader.refuse("no entry has a source: fill in at least one")
    return FaceMap(faces=None if faces is None else reader.path(faces, "faces"), entries=used)


def with_map(settings: RenderSettings) -> RenderSettings:
    """The settings with the sources and the face table of their map of faces, if they have one.

    Raises:
        InputError: The map cannot be read.
        SettingsError: Sources or a table are given beside it.
    """
    selection = settings.selection
    if selection.map_faces is None:
        return settings
    found = read_map(selection.map_faces)
    if settings.sources not in ((), found.sources):
        raise SettingsError("--map-faces: names the sources itself; leave -s/--source out")
    if found.faces is not None and selection.faces not in (None, found.faces):
        raise SettingsError("--map-faces: names a face table itself; leave --faces out")
    return replace(
        settings,
        sources=found.sources,
        selection=replace(selection, faces=found.faces or selection.faces),
    )


class _Reader(JsonValues):
    """Reads the values of a map."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder

    def path(self, value: Any, where: str) -> Path:
        """A path, from the folder of the file."""
        if not isinstance(value, str) or not value:
            self.refuse(f"{where} is {shown(value)}, must be a path")
        return self._folder / value

    def paths(self, value: Any, where: str) -> tuple[Path, ...]:
        """One path or a list of them; an empty text is none."""
        if value == "":
            return ()
        several = value if isinstance(value, list) else [value]
        return tuple(self.path(each, where) for each in several)

    def entry(self, value: Any, where: str) -> MapEntry:
        """One `[[map]]`."""
        fields = self.record(value, where, _FIELDS)
        if sum(name in fields for name in _TARGETS) != 1:
            self.refuse(f"{where} must say one of person, reference or at")
        if "source" not in fields:
            self.refuse(f'{where}.source is missing: an image, or "" to leave them as they are')
        order = fields.get("order", FaceOrder.LARGEST.value)
        if order not in [each.value for each in FaceOrder]:
            known = ", ".join(each.value for each in FaceOrder)
            self.refuse(f"{where}.order is {shown(order)}, must be one of {known}")
        at = self.numbers([fields["at"]], f"{where}.at", 1)[0] if "at" in fields else None
        if at is not None and at < 0:
            self.refuse(f"{where}.at is {at:g}, must be at least 0")
        person = fields.get("person")
        return MapEntry(
            where=f"{self.name}: {where}",
            sources=self.paths(fields["source"], f"{where}.source"),
            person=None if person is None else self.whole(person, f"{where}.person", 1),
            references=self.paths(fields.get("reference", ""), f"{where}.reference"),
            at_s=at,
            number=self.whole(fields.get("number", 1), f"{where}.number", 1),
            order=FaceOrder(order),
        )
