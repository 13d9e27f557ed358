"""The face table of a job: every face of every source frame, by the track that it belongs to.

An analysis fills it, a user may edit it, and a render reads its rows. Frames are source frames,
numbered from 0 in display order over the whole clip.
Not for: its file (`farm.faces.table_file`) or finding out who is who (`farm.faces.people`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from farm.errors import InputError
from farm.faces.face import Face
from farm.report import Gap


class Origin(StrEnum):
    """How a face came into the table."""

    DETECTED = "detected"
    TRACKED = "tracked"
    """Followed through the picture between two detections."""
    FILLED = "filled"
    """Put between two sights of the same track, without a look at the picture."""
    MANUAL = "manual"
    """Given by a user."""


ORIGINS = tuple(Origin)
"""The code of an origin is its place here."""

DECIMALS = 2
"""Places are kept to a hundredth of a pixel, so that a table and its file say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a table was made from; a table fits no other clip."""

    name: str
    """File name, to be said."""
    sha256: str
    width: int
    height: int
    """Of the upright picture, in pixels."""
    frames: int
    """Source frames of the whole clip."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """The faces of one person over consecutive frames, at most one in each frame."""

    track: int
    """Its number, from 1."""
    frames: NDArray[np.int64]
    """[n] ascending."""
    boxes_xyxy: NDArray[np.float32]
    """[n, 4] in pixels of the upright picture."""
    scores: NDArray[np.float32]
    """[n] detector confidence, 0 to 1."""
    landmarks_xy: NDArray[np.float32]
    """[n, 5, 2]; not a number where a face has none."""
    origins: NDArray[np.uint8]
    """[n] places in `ORIGINS`."""
    on: bool = True
    """Whether it is worked on; a track that is off is left as it is, uncovered."""
    person: int | None = None
    """Number of the person, from 1; None where nobody asked who it is."""
    embedding: tuple[float, ...] | None = None
    """[512] unit length: the mean over its sights; None where recognition did not run."""

    def __len__(self) -> int:
        return len(self.frames)

    def face(self, place: int) -> Face:
        """The face at a place of the arrays."""
        points = self.landmarks_xy[place]
        return Face(
            box_xyxy=self.boxes_xyxy[place],
            score=float(self.scores[place]),
            landmarks_xy=None if np.isnan(points).any() else points,
            track=self.track,
            filled=ORIGINS[self.origins[place]] is Origin.FILLED,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceTable:
    """All tracks of a clip."""

    clip: ClipFacts
    tracks: tuple[Track, ...]
    gaps: tuple[Gap, ...] = ()
    made_by: dict[str, str] = field(default_factory=dict)
    """Settings and versions of the analysis, to be said."""

    @property
    def faces(self) -> int:
        """Faces over all frames."""
        return sum(len(track) for track in self.tracks)

    def check_fits(self, clip: ClipFacts, name: str) -> None:
        """See that the table was made from this clip.

        Args:
            clip: The clip to render.
            name: What messages call the table.

        Raises:
            InputError: It was made from another one.
        """
        mine = self.clip
        if mine.frames != clip.frames:
            what = f"has {mine.frames} frames, {clip.name} has {clip.frames}"
        elif (mine.width, mine.height) != (clip.width, clip.height):
            what = (
                f"is {mine.width}x{mine.height}, {clip.name} is {clip.width}x{clip.height} upright"
            )
        elif mine.sha256 != clip.sha256:
            what = f"has the hash {mine.sha256[:12]}, {clip.name} has {clip.sha256[:12]}"
        else:
            return
        raise InputError(
            f"{name}: its clip ({mine.name}) {what}; make a table of this clip with "
            "`facefarm analyze`"
        )

    def switched(self, on: Sequence[int]) -> FaceTable:
        """The same table with these tracks on and all others off."""
        tracks = tuple(replace(track, on=track.track in on) for track in self.tracks)
        return replace(self, tracks=tracks)

    def rows(self) -> FaceRows:
        """What a render reads: the tracks that are on, by frame."""
        return FaceRows([track for track in self.tracks if track.on])


class FaceRows:
    """The faces of each frame, found quickly."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        owners = [np.full(len(track), i, np.int64) for i, track in enumerate(tracks)]
        places = [np.arange(len(track), dtype=np.int64) for track in tracks]
        frames = np.concatenate([np.empty(0, np.int64), *(track.frames for track in tracks)])
        order = np.argsort(frames, kind="stable")
        self._frames = frames[order]
        self._owners = np.concatenate([np.empty(0, np.int64), *owners])[order]
        self._places = np.concatenate([np.empty(0, np.int64), *places])[order]

    def of(self, frame: int) -> tuple[Face, ...]:
        """Faces of a frame, largest first."""
        low, high = np.searchsorted(self._frames, [frame, frame + 1])
        places = zip(self._owners[low:high].tolist(), self._places[low:high].tolist(), strict=True)
        faces = [self._tracks[owner].face(place) for owner, place in places]
        return tuple(sorted(faces, key=lambda face: -face.area_px))


def empty_arrays(count: int) -> dict[str, NDArray[np.generic]]:
    """Arrays of a track of `count` faces, to be filled in; no landmarks."""
    return {
        "frames": np.zeros(count, np.int64),
        "boxes_xyxy": np.zeros((count, 4), np.float32),
        "scores": np.zeros(count, np.float32),
        "landmarks_xy": np.full((count, 5, 2), np.nan, np.float32),
        "origins": np.zeros(count, np.uint8),
    }
