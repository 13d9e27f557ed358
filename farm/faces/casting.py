"""Which tracks of a job's face table are worked on, and whose face each of them gets.

Decided once, on the driver; workers get it with the rows of their chunks.
Not for: who is who (`farm.faces.people`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError
from farm.face_settings import FaceOrder
from farm.faces.face import Face
from farm.faces.people import likenesses
from farm.faces.table import FaceRows, FaceTable, Track


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameFaces:
    """The row of one frame, as processors get it."""

    faces: tuple[Face, ...]
    """Every face that is on, largest first."""
    selected: tuple[Face, ...]
    """Those that the job works on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a track is cast for."""

    reference: int
    """Which of the people that are looked for it is."""
    likeness: float = 1.0
    """To that person, or 1 where it was named itself."""
    source: int = 0
    """Whose face it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """The roles of a job."""

    roles: Mapping[int, Role] = field(default_factory=dict)
    """By track; one that is missing is not worked on."""
    everyone: bool = False
    """Whether every track is worked on, with the first source."""

    def cast(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The faces of a frame that are worked on, each with its source.

        Nobody is in a frame twice: of several that are taken for one person, the one most like them
        is meant.
        """
        if self.everyone:
            return tuple(faces)
        best: dict[int, tuple[Role, Face]] = {}
        for face in faces:
            role = None if face.track is None else self.roles.get(face.track)
            if role is not None:
                held = best.get(role.reference)
                if held is None or role.likeness > held[0].likeness:
                    best[role.reference] = (role, face)
        return tuple(replace(face, source=role.source) for role, face in best.values())


class CastRows:
    """The rows of a table with their casting: what a render pass reads."""

    def __init__(self, table: FaceTable, casting: Casting) -> None:
        self._rows: FaceRows = table.rows()
        self._casting = casting

    def of(self, frames: Iterable[int]) -> tuple[FrameFaces, ...]:
        """The rows of these source frames."""
        rows = (self._rows.of(frame) for frame in frames)
        return tuple(FrameFaces(faces=row, selected=self._casting.cast(row)) for row in rows)


def cast_alike(
    tracks: Sequence[Track],
    references: NDArray[np.float32],
    least: float,
    sources: Sequence[int] | None = None,
) -> dict[int, Role]:
    """Roles of the tracks that are like one of the people who are looked for.

    Args:
        tracks: Of the table.
        references: [n, 512] unit length.
        least: Cosine similarity from which a track is taken for a person.
        sources: Whose face each of the people gets; None gives the first to all.
    """
    found = likenesses(tracks, references)
    roles: dict[int, Role] = {}
    for track, row in zip(tracks, found, strict=True):
        best = int(np.argmax(row)) if len(row) else -1
        if best >= 0 and row[best] >= least:
            source = 0 if sources is None else sources[best]
            roles[track.track] = Role(reference=best, likeness=float(row[best]), source=source)
    return roles


def cast_track(tracks: Sequence[Track], chosen: Track, least: float) -> dict[int, Role]:
    """Roles of a track that was chosen by its place, and of those that show the same person."""
    roles: dict[int, Role] = {}
    if chosen.embedding is not None:
        roles = cast_alike(tracks, np.array([chosen.embedding], np.float32), least)
    same = [t for t in tracks if chosen.person is not None and t.person == chosen.person]
    return roles | {track.track: Role(reference=0) for track in (*same, chosen)}


def track_at(
    table: FaceTable, frame: int | None, order: FaceOrder, number: int, asked: str
) -> Track | None:
    """The track of the face that has a place in a frame.

    Args:
        table: All faces.
        frame: Source frame; None for the first one that has so many faces.
        order: How the faces of the frame are counted.
        number: From 1.
        asked: What messages say that the user asked for.

    Returns:
        None where `frame` is None and no frame has so many.

    Raises:
        InputError: The frame that was asked for does not have so many.
    """
    rows = table.rows()
    if frame is None:
        firsts = sorted({int(f) for t in table.tracks if t.on for f in t.frames})
        frame = next((f for f in firsts if len(rows.of(f)) >= number), None)
        if frame is None:
            return None
    faces = in_order(rows.of(frame), order)
    if len(faces) < number:
        shows = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
        raise InputError(f"{asked}: frame {frame} shows {shows}, not {number}")
    return next(t for t in table.tracks if t.track == faces[number - 1].track)


def in_order(faces: Sequence[Face], order: FaceOrder) -> list[Face]:
    """Faces in the order in which they are counted."""
    if order is FaceOrder.LARGEST:
        return sorted(faces, key=lambda face: -face.area_px)
    left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    return left[::-1] if order is FaceOrder.RIGHT_TO_LEFT else left
