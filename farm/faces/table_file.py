"""The file of a face table: JSON with a line for each face, made to be edited by hand.

Not for: what the table means (`farm.faces.table`).

    {"format": "facefarm faces", "format_version": 1,
     "clip": {"name": ..., "sha256": ..., "width": ..., "height": ..., "frames": ...},
     "made_by": {...},
     "tracks": [
      {"track": 1, "on": true, "person": null, "faces": [
       {"frame": 0, "box": [left, top, right, bottom], "score": 0.9, "origin": "detected",
        "landmarks": [[x, y], ... five]}]}],
     "added": [
      {"boxes": [{"frame": 10, "box": [...]}, {"second": 2.5, "box": [...]}]}]}

A box of `added` stands on every frame from its first to its last given place, moved evenly between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError
from farm.faces.json_values import JsonValues, shown
from farm.faces.recognise import EMBEDDING_SIZE
from farm.faces.table import (
    DECIMALS,
    ORIGINS,
    ClipFacts,
    FaceTable,
    Origin,
    Track,
    empty_arrays,
)
from farm.report import Gap

FORMAT = "facefarm faces"
VERSION = 1
_TRACK_FIELDS = ("track", "on", "person", "faces", "embedding")
_FACE_FIELDS = ("frame", "box", "score", "origin", "landmarks")
_BOX_FIELDS = ("frame", "second", "box")
FrameAt = Callable[[float], int]
"""The source frame that is on screen at a second from the first frame."""


def write_table(path: Path, table: FaceTable) -> None:
    """Write a table, completely or not at all.

    Raises:
        InputError: The folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(_lines(table))
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write the face table ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_table(path: Path) -> TableDocument:
    """Read a table and see that its shape is right.

    Raises:
        InputError: It is no face table, or something in it is not as it must be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--faces {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--faces {path}: is no face table (not a text)") from error
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise InputError(f"--faces {path}: is no face table (lists within lists)") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"--faces {path}: {where}: is no JSON ({error.msg})") from error
    return TableDocument(document, f"--faces {path}")


class TableDocument:
    """A table as its file says it, before the times of the clip are known."""

    def __init__(self, document: Any, name: str) -> None:
        """Check it all; `name` is what messages begin with.

        Raises:
            InputError: Something is not as it must be.
        """
        self.name = name
        self._reader = reader = _Reader(name)
        top = reader.record(document, "the file")
        if top.get("format") != FORMAT:
            reader.refuse('it has no "format": "facefarm faces"')
        if top.get("format_version") != VERSION:
            version = top.get("format_version")
            reader.refuse(f"format_version {version!r} is not known, {VERSION} is")
        self.clip = reader.clip(top.get("clip"))
        self._made_by = {
            str(key): str(value)
            for key, value in reader.record(top.get("made_by", {}), "made_by").items()
        }
        self._tracks = [
            reader.track(each, f"tracks[{i}]", self.clip.frames)
            for i, each in enumerate(reader.items(top.get("tracks"), "tracks"))
        ]
        self._check_numbers()
        self._gaps = tuple(
            reader.gap(each, f"gaps[{i}]")
            for i, each in enumerate(reader.items(top.get("gaps", []), "gaps"))
        )
        self._added = reader.items(top.get("added", []), "added")
        self._with_added(lambda _second: 0)

    def table(self, frame_at: FrameAt) -> FaceTable:
        """The table, with boxes that were added by hand as tracks of their own.

        Args:
            frame_at: Frame at a second of the clip; a second behind the end gives the last one.

        Raises:
            InputError: A box that was added has no place.
        """
        return FaceTable(
            clip=self.clip,
            tracks=self._with_added(frame_at),
            gaps=self._gaps,
            made_by=self._made_by,
        )

    def _check_numbers(self) -> None:
        seen: set[int] = set()
        for track in self._tracks:
            if track.track in seen:
                self._reader.refuse(f"track {track.track} is there twice")
            seen.add(track.track)

    def _with_added(self, frame_at: FrameAt) -> tuple[Track, ...]:
        free = max((track.track for track in self._tracks), default=0) + 1
        added = [
            self._reader.added(each, f"added[{i}]", free + i, self.clip.frames, frame_at)
            for i, each in enumerate(self._added)
        ]
        return (*self._tracks, *added)


def table_text(table: FaceTable) -> str:
    """The text of a table's file."""
    return "".join(_lines(table))


def _lines(table: FaceTable) -> Iterator[str]:
    """The file, line by line: one for each face, so that it can be edited and compared."""
    clip = table.clip
    facts = {name: getattr(clip, name) for name in ("name", "sha256", "width", "height", "frames")}
    yield f'{{\n"format": {_json(FORMAT)},\n"format_version": {VERSION},\n'
    yield f'"clip": {_json(facts)},\n"made_by": {_json(table.made_by)},\n"gaps": ['
    for i, gap in enumerate(table.gaps):
        fields = {
            "track": gap.track,
            "frame_start": gap.frame_start,
            "frame_stop": gap.frame_stop,
        }
        yield f"{',' if i else ''}\n {_json(fields)}"
    yield '],\n"tracks": ['
    for i, track in enumerate(table.tracks):
        head = {"track": track.track, "on": track.on, "person": track.person}
        yield f'{"," if i else ""}\n {_json(head)[:-1]},\n  "faces": ['
        for place in range(len(track)):
            yield f"{',' if place else ''}\n   {_json(_face_fields(track, place))}"
        embedding = "null" if track.embedding is None else _json(track.embedding)
        yield f'],\n  "embedding": {embedding}}}'
    yield '],\n"added": []\n}\n'


def _face_fields(track: Track, place: int) -> dict[str, object]:
    points = track.landmarks_xy[place]
    fields: dict[str, object] = {
        "frame": int(track.frames[place]),
        "box": _numbers(track.boxes_xyxy[place]),
        "score": round(float(track.scores[place]), 3),
        "origin": ORIGINS[int(track.origins[place])].value,
    }
    if not np.isnan(points).any():
        fields["landmarks"] = [_numbers(point) for point in points]
    return fields


def _numbers(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Reader(JsonValues):
    """Reads the records of a table and says where one is not as it must be."""

    def clip(self, value: Any) -> ClipFacts:
        """The facts of the clip."""
        fields = self.record(value, "clip")
        texts = {name: fields.get(name) for name in ("name", "sha256")}
        for name, text in texts.items():
            if not isinstance(text, str):
                self.refuse(f"clip.{name} must be a text")
        sizes = {
            name: self.whole(fields.get(name), f"clip.{name}", 1)
            for name in ("width", "height", "frames")
        }
        return ClipFacts(name=str(texts["name"]), sha256=str(texts["sha256"]), **sizes)

    def track(self, value: Any, where: str, frames: int) -> Track:
        """One track with its faces."""
        fields = self.record(value, where, _TRACK_FIELDS)
        number = self.whole(fields.get("track"), f"{where}.track", 1)
        where = f"track {number}"
        faces = self.items(fields.get("faces"), f"{where}: faces")
        if not faces:
            self.refuse(f"{where} has no faces: delete it")
        arrays: dict[str, Any] = empty_arrays(len(faces))
        for i, each in enumerate(faces):
            self._face(arrays, i, each, f"{where}, faces[{i}]", frames)
        steps = np.diff(arrays["frames"])
        if (steps <= 0).any():
            frame = int(arrays["frames"][int(np.argmax(steps <= 0)) + 1])
            self.refuse(f"{where}: frame {frame} is out of order or there twice")
        person = fields.get("person")
        return Track(
            track=number,
            on=self.flag(fields.get("on", True), f"{where}: on"),
            person=None if person is None else self.whole(person, f"{where}: person", 1),
            embedding=self._embedding(fields.get("embedding"), f"{where}: embedding"),
            **arrays,
        )

    def _face(self, arrays: dict[str, Any], i: int, value: Any, where: str, frames: int) -> None:
        fields = self.record(value, where, _FACE_FIELDS)
        frame = self.whole(fields.get("frame"), f"{where}.frame", 0, frames)
        where = f"{where} (frame {frame})"
        arrays["frames"][i] = frame
        arrays["boxes_xyxy"][i] = self.box(fields.get("box"), f"{where}.box")
        arrays["scores"][i] = self.numbers([fields.get("score", 1.0)], f"{where}.score", 1)[0]
        origin = fields.get("origin", Origin.MANUAL.value)
        if origin not in [each.value for each in Origin]:
            known = ", ".join(each.value for each in Origin)
            self.refuse(f"{where}.origin is {shown(origin)}, must be one of {known}")
        arrays["origins"][i] = ORIGINS.index(Origin(origin))
        if fields.get("landmarks") is not None:
            points = self.items(fields["landmarks"], f"{where}.landmarks")
            if len(points) != 5:
                self.refuse(f"{where}.landmarks has {len(points)} points, must have 5")
            arrays["landmarks_xy"][i] = [
                self.numbers(point, f"{where}.landmarks[{k}]", 2) for k, point in enumerate(points)
            ]

    def _embedding(self, value: Any, where: str) -> tuple[float, ...] | None:
        return None if value is None else tuple(self.numbers(value, where, EMBEDDING_SIZE))

    def gap(self, value: Any, where: str) -> Gap:
        """A stretch without a track."""
        fields = self.record(value, where)
        names = ("track", "frame_start", "frame_stop")
        return Gap(**{name: self.whole(fields.get(name), f"{where}.{name}", 0) for name in names})

    def added(self, value: Any, where: str, number: int, frames: int, frame_at: FrameAt) -> Track:
        """A track of boxes given by hand, moved evenly between them."""
        fields = self.record(value, where, ("on", "boxes"))
        given: dict[int, list[float]] = {}
        boxes = self.items(fields.get("boxes"), f"{where}.boxes")
        if not boxes:
            self.refuse(f"{where}.boxes is empty: give at least one box")
        for i, each in enumerate(boxes):
            here = f"{where}.boxes[{i}]"
            frame = self._place(self.record(each, here, _BOX_FIELDS), here, frames, frame_at)
            given[frame] = self.box(each.get("box"), f"{here}.box")
        keys = np.array(sorted(given), np.int64)
        corners = np.array([given[int(key)] for key in keys], np.float32)
        span = np.arange(keys[0], keys[-1] + 1, dtype=np.int64)
        arrays: dict[str, Any] = empty_arrays(len(span))
        arrays["frames"] = span
        for side in range(4):
            arrays["boxes_xyxy"][:, side] = np.interp(span, keys, corners[:, side])
        arrays["scores"][:] = 1.0
        arrays["origins"][:] = ORIGINS.index(Origin.MANUAL)
        return Track(track=number, on=self.flag(fields.get("on", True), f"{where}.on"), **arrays)

    def _place(self, fields: dict[str, Any], where: str, frames: int, frame_at: FrameAt) -> int:
        """The frame of a box: its number, or what is on screen at a second."""
        if ("frame" in fields) == ("second" in fields):
            self.refuse(f'{where} must say either "frame" or "second"')
        if "frame" in fields:
            return self.whole(fields["frame"], f"{where}.frame", 0, frames)
        (second,) = self.numbers([fields["second"]], f"{where}.second", 1)
        if second < 0:
            self.refuse(f"{where}.second is {second:g}, must be at least 0")
        return min(frame_at(second), frames - 1)
