"""The people of a clip on one sheet, and the map of faces that is filled in from it.

Not for: who is who (`farm.faces.people`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError
from farm.faces.table import ORIGINS, FaceTable, Origin, Track
from farm.media.timing import FrameTimes

CELL_PX = 192
"""Side of a person's picture on the sheet."""
_LABEL_PX = 36
_COLUMNS = 6
_AROUND = 0.5
"""Share of the face box that is shown around it on each side."""
_LARGE_ENOUGH_PX = 160.0
"""A face of this size is seen well; larger is no better."""
_INK = (230, 230, 230)
_PNG_COMPRESSION = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonSight:
    """A person, and the frame that shows them best."""

    person: int
    frame: int
    box_xyxy: NDArray[np.float32]
    frames: int
    """How many show them."""
    first_s: Fraction
    """Second of the first one."""
    tracks: tuple[int, ...]


def best_sights(table: FaceTable, times: FrameTimes) -> list[PersonSight]:
    """The people of a table in their order, each where the detector saw them best."""
    numbers = sorted({track.person for track in table.tracks if track.person is not None})
    return [
        _sight(number, [t for t in table.tracks if t.person == number], times) for number in numbers
    ]


def _sight(person: int, tracks: Sequence[Track], times: FrameTimes) -> PersonSight:
    scored = [(_goodness(track), track) for track in tracks]
    best, track = max(scored, key=lambda each: float(each[0].max()))
    place = int(np.argmax(best))
    first = min(int(each.frames[0]) for each in tracks)
    return PersonSight(
        person=person,
        frame=int(track.frames[place]),
        box_xyxy=track.boxes_xyxy[place],
        frames=sum(len(each) for each in tracks),
        first_s=times.seconds(first),
        tracks=tuple(each.track for each in tracks),
    )


def _goodness(track: Track) -> NDArray[np.float32]:
    """[n] how well each face is seen: detected, large, sure, and from the front."""
    sides = (track.boxes_xyxy[:, 2:] - track.boxes_xyxy[:, :2]).min(axis=1)
    eyes = np.abs(track.landmarks_xy[:, 1, 0] - track.landmarks_xy[:, 0, 0])
    middle = track.landmarks_xy[:, :2, 0].mean(axis=1)
    aside = np.abs(track.landmarks_xy[:, 2, 0] - middle) / np.maximum(eyes, 1e-3)
    front = np.clip(1 - np.nan_to_num(aside, nan=0.5), 0.1, 1)
    seen = np.where(track.origins == ORIGINS.index(Origin.DETECTED), 1.0, 0.5)
    size = np.minimum(sides / _LARGE_ENOUGH_PX, 1)
    return np.asarray(track.scores * front * seen * size, np.float32)


def cell_box(sight: PersonSight, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture that the sheet shows: a square around the face, inside the picture."""
    left, top, right, bottom = (float(v) for v in sight.box_xyxy)
    half = max(right - left, bottom - top) * (0.5 + _AROUND)
    middle = (left + right) / 2, (top + bottom) / 2
    low = max(0, math.floor(middle[0] - half)), max(0, math.floor(middle[1] - half))
    high = min(width, math.ceil(middle[0] + half)), min(height, math.ceil(middle[1] + half))
    return low[0], low[1], max(high[0], low[0] + 1), max(high[1], low[1] + 1)


def write_sheet(
    path: Path, sights: Sequence[PersonSight], pictures_bgr: Sequence[NDArray[np.uint8]]
) -> None:
    """Write the contact sheet as PNG.

    Args:
        path: The file.
        sights: The people.
        pictures_bgr: What is shown of each, [h, w, 3] uint8 BGR.

    Raises:
        InputError: It cannot be written.
    """
    columns = max(1, min(_COLUMNS, len(sights)))
    rows = max(1, -(-len(sights) // columns))
    sheet = np.full((rows * (CELL_PX + _LABEL_PX), columns * CELL_PX, 3), 24, np.uint8)
    for i, (sight, picture) in enumerate(zip(sights, pictures_bgr, strict=True)):
        top, left = i // columns * (CELL_PX + _LABEL_PX), i % columns * CELL_PX
        cell = cv2.resize(picture, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
        sheet[top : top + CELL_PX, left : left + CELL_PX] = cell
        _write(sheet, f"person {sight.person}", left + 6, top + CELL_PX + 15)
        seen = f"{sight.frames} frames from {float(sight.first_s):.1f} s"
        _write(sheet, seen, left + 6, top + CELL_PX + 30)
    if not cv2.imwrite(str(path), sheet, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION]):
        raise InputError(f"{path}: cannot be written; free space there")


def _write(sheet: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)


def map_text(sights: Sequence[PersonSight], table_name: str) -> str:
    """A map of faces that is whole but for the sources, which stay empty."""
    lines = [
        "# Fill in an image as the source of whoever is to be replaced, and render with",
        "# facefarm render --map-faces map.toml -t CLIP -o OUTPUT",
        f"faces = {json.dumps(table_name)}",
    ]
    for sight in sights:
        tracks = ", ".join(str(number) for number in sight.tracks)
        lines += [
            "",
            f"[[map]]  # {sight.frames} frames from {float(sight.first_s):.1f} s; tracks {tracks}",
            f"person = {sight.person}",
            'source = ""',
        ]
    if not sights:
        lines += ["map = []"]
    return "\n".join(lines) + "\n"
