"""From what was seen in each frame to tracks: one person over consecutive frames.

Runs once per job, over the sights of all frames, so that chunks cannot show. A track ends at a cut.
Not for: following through pictures (`farm.faces.follow`) or naming people (`farm.faces.people`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.geometry import SAME_PLACE, centres, nearness, overlaps, pair
from farm.faces.observe import Sight
from farm.faces.recognise import unit
from farm.faces.table import DECIMALS, ORIGINS, Origin, Track, empty_arrays
from farm.report import Gap

_RETURN_FRAMES = 75
"""Frames after which a face at the same place is taken for a new track."""
_COME_BACK = 0.75
"""What a sight counts for after a gap, against one that goes on without."""
_STRANGERS = 0.1
"""Cosine similarity of embeddings below which two sights are of different people."""
_VELOCITY_FRAMES = 5
"""Frames over which a track's motion is measured to say where it comes back."""


@dataclass(slots=True)
class _Draft:
    """A track that is being made."""

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    embedding_sum: NDArray[np.float32] | None = None

    def add(self, frame: int, face: Face, origin: Origin) -> None:
        """Take the face of a later frame."""
        self.frames.append(frame)
        self.faces.append(face)
        self.origins.append(ORIGINS.index(origin))
        if face.embedding is not None:
            before = self.embedding_sum
            self.embedding_sum = face.embedding if before is None else before + face.embedding

    def expected(self, frame: int) -> NDArray[np.float32]:
        """[4] box where it should be in a later frame, if it goes on as it went."""
        last = self.faces[-1].box_xyxy
        early = max(0, len(self.frames) - _VELOCITY_FRAMES)
        while early < len(self.frames) - 1 and self.frames[-1] - self.frames[early] > 15:
            early += 1
        past = self.frames[-1] - self.frames[early]
        ahead = frame - self.frames[-1]
        if past == 0 or ahead > 2 * _VELOCITY_FRAMES:
            return last
        step = (centres(last[None]) - centres(self.faces[early].box_xyxy[None]))[0] / past
        return np.asarray(last + np.tile(step, 2) * ahead, np.float32)


def make_tracks(
    sights: Sequence[Sight], first_frame: int, *, fill_frames: int, smooth_frames: int
) -> tuple[tuple[Track, ...], tuple[Gap, ...]]:
    """Link the faces of consecutive frames.

    Args:
        sights: What was seen, frame by frame.
        first_frame: Number of the first one.
        fill_frames: Longest gap that is filled from both sides.
        smooth_frames: Frames on each side over which landmarks are averaged; 0 leaves them.

    Returns:
        The tracks, numbered from 1 in the order in which they begin, and the gaps that stay.
    """
    drafts = _link(sights, first_frame)
    tracks, gaps = [], []
    for number, draft in enumerate(drafts, 1):
        arrays = _arrays(draft)
        arrays = _filled(arrays, fill_frames)
        gaps += _gaps(number, arrays["frames"])
        if smooth_frames:
            _smooth(arrays, smooth_frames)
        for name in ("boxes_xyxy", "landmarks_xy"):
            exact = np.round(arrays[name].astype(np.float64), DECIMALS)
            arrays[name] = exact.astype(np.float32)
        tracks.append(Track(track=number, embedding=_mean(draft.embedding_sum), **arrays))
    return tuple(tracks), tuple(sorted(gaps, key=lambda gap: (gap.frame_start, gap.track)))


def _link(sights: Sequence[Sight], first_frame: int) -> list[_Draft]:
    """Drafts of all tracks, in the order in which they begin."""
    drafts: list[_Draft] = []
    alive: list[_Draft] = []
    for frame, sight in enumerate(sights, first_frame):
        alive = [draft for draft in alive if frame - draft.frames[-1] <= _RETURN_FRAMES + 1]
        partner = _partners(alive, sight.faces, frame)
        for place, face in enumerate(sight.faces):
            if partner[place] < 0:
                draft = _Draft()
                drafts.append(draft)
                alive.append(draft)
            else:
                draft = alive[partner[place]]
            draft.add(frame, face, sight.origin)
        if sight.cut_after:
            alive = []
    return drafts


def _partners(alive: Sequence[_Draft], faces: Sequence[Face], frame: int) -> list[int]:
    """Place of the draft that each face belongs to, -1 for none."""
    if not alive or not faces:
        return [-1] * len(faces)
    expected = np.stack([draft.expected(frame) for draft in alive])
    boxes = np.stack([face.box_xyxy for face in faces])
    gaps = np.array([frame - draft.frames[-1] for draft in alive])
    scores = np.maximum(overlaps(boxes, expected), nearness(boxes, expected))
    # A track without a gap stands before one that might come back.
    scores = np.where(gaps[None] > 1, scores * _COME_BACK, scores)
    for i, face in enumerate(faces):
        if face.embedding is None:
            continue
        for j, draft in enumerate(alive):
            mean = None if draft.embedding_sum is None else unit(draft.embedding_sum)
            if mean is not None and float(mean @ face.embedding) < _STRANGERS:
                scores[i, j] = 0.0
    return [int(place) for place in pair(scores, SAME_PLACE * _COME_BACK)]


def _arrays(draft: _Draft) -> dict[str, Any]:
    """The arrays of a track."""
    arrays: dict[str, Any] = empty_arrays(len(draft.frames))
    arrays["frames"][:] = draft.frames
    arrays["origins"][:] = draft.origins
    for i, face in enumerate(draft.faces):
        arrays["boxes_xyxy"][i] = face.box_xyxy
        arrays["scores"][i] = face.score
        if face.landmarks_xy is not None:
            arrays["landmarks_xy"][i] = face.landmarks_xy
    return arrays


def _filled(arrays: dict[str, Any], most: int) -> dict[str, Any]:
    """The arrays with short gaps filled, evenly from one side to the other."""
    frames: NDArray[np.int64] = arrays["frames"]
    missing = np.diff(frames) - 1
    wanted = [
        np.arange(frames[i] + 1, frames[i + 1], dtype=np.int64)
        for i in np.flatnonzero((missing > 0) & (missing <= most))
    ]
    if not wanted:
        return arrays
    new = np.concatenate(wanted)
    made: dict[str, Any] = empty_arrays(len(new))
    made["frames"] = new
    made["origins"][:] = ORIGINS.index(Origin.FILLED)
    after = np.searchsorted(frames, new)
    late = (new - frames[after - 1]) / (frames[after] - frames[after - 1])
    for name in ("boxes_xyxy", "landmarks_xy"):
        values = arrays[name]
        share = late.reshape(-1, *[1] * (values.ndim - 1))
        made[name] = ((1 - share) * values[after - 1] + share * values[after]).astype(np.float32)
    made["scores"] = np.minimum(arrays["scores"][after - 1], arrays["scores"][after])
    order = np.argsort(np.concatenate([frames, new]), kind="stable")
    return {name: np.concatenate([arrays[name], made[name]])[order] for name in arrays}


def _gaps(track: int, frames: NDArray[np.int64]) -> list[Gap]:
    """Stretches that stay without the track."""
    return [
        Gap(track=track, frame_start=int(frames[i]) + 1, frame_stop=int(frames[i + 1]))
        for i in np.flatnonzero(np.diff(frames) > 1)
    ]


def _smooth(arrays: dict[str, Any], half: int) -> None:
    """Average landmarks over a window of `half` frames on each side, weighted by nearness.

    At the ends of a run the window is narrower, on both sides alike: motion is not held back.
    """
    points, ends = arrays["landmarks_xy"], np.flatnonzero(np.diff(arrays["frames"]) > 1) + 1
    for run in np.split(np.arange(len(points)), ends):
        values = points[run].astype(np.float64)
        places = np.arange(len(run))
        room = np.minimum(half, np.minimum(places, len(run) - 1 - places))
        total, weights = values * (room + 1)[:, None, None], (room + 1).astype(np.float64)
        for step in range(1, half + 1):
            inside = np.flatnonzero(room >= step)
            weight = (room[inside] + 1 - step).astype(np.float64)
            sides = values[inside - step] + values[inside + step]
            total[inside] += weight[:, None, None] * sides
            weights[inside] += 2 * weight
        points[run] = total / weights[:, None, None]


def _mean(embedding_sum: NDArray[np.float32] | None) -> tuple[float, ...] | None:
    """The embedding of a track, rounded as its file has it."""
    mean = None if embedding_sum is None else unit(embedding_sum)
    return None if mean is None else tuple(round(float(value), 4) for value in mean)
