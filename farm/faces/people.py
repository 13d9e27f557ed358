"""Who is who: tracks of one person put together, and the tracks of a person who is asked for.

Works on embeddings of whole tracks, once per job. Not for: embedding faces
(`farm.faces.recognise`) or choosing within one frame (`farm.faces.select`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.faces.recognise import unit
from farm.faces.table import Track
from farm.report import Gap

SAME_PERSON_TRACKS = 0.4
"""Least cosine similarity of tracks that are put together.

Higher than for single faces (`farm.faces.select.SAME_PERSON`): means over a track are less noisy,
and people who were put together are harder to tell apart again than the other way round."""


@dataclass(slots=True)
class _Person:
    """The tracks of one person so far."""

    sum: NDArray[np.float64]
    tracks: list[Track] = field(default_factory=list)

    def likeness(self, vector: NDArray[np.float32]) -> float:
        """Cosine similarity of a track with the mean of these."""
        length = float(np.linalg.norm(self.sum))
        return float(self.sum @ vector) / length if length > 0 else -1.0

    def is_beside(self, track: Track) -> bool:
        """Whether one of the tracks is in a frame of another: nobody is there twice."""
        return any(len(np.intersect1d(each.frames, track.frames)) for each in self.tracks)


def name_people(tracks: Sequence[Track], least: float = SAME_PERSON_TRACKS) -> tuple[Track, ...]:
    """The tracks with the number of their person, who appear in order of their first frame.

    Longer tracks are taken first, each by the person most like it who is not in the same frames.
    A track without an embedding has no person.
    """
    people: list[_Person] = []
    known = [track for track in tracks if track.embedding is not None]
    for track in sorted(known, key=lambda each: (-len(each), each.track)):
        vector = np.array(track.embedding, np.float32)
        person = _most_like(people, track, vector, least)
        if person is None:
            person = _Person(sum=np.zeros(vector.shape, np.float64))
            people.append(person)
        person.sum += vector.astype(np.float64) * len(track)
        person.tracks.append(track)
    people.sort(key=lambda person: min((int(t.frames[0]), t.track) for t in person.tracks))
    number_of = {t.track: i for i, person in enumerate(people, 1) for t in person.tracks}
    return tuple(replace(track, person=number_of.get(track.track)) for track in tracks)


def _most_like(
    people: Sequence[_Person], track: Track, vector: NDArray[np.float32], least: float
) -> _Person | None:
    """The person most like a track who may be it."""
    ranked = sorted(people, key=lambda person: -person.likeness(vector))
    alike = (person for person in ranked if person.likeness(vector) >= least)
    return next((person for person in alike if not person.is_beside(track)), None)


def embedding_of_person(tracks: Sequence[Track], person: int) -> NDArray[np.float32] | None:
    """[512] unit length: the mean over the tracks of a person, longer ones counting more."""
    mine = [t for t in tracks if t.person == person and t.embedding is not None]
    if not mine:
        return None
    weighted = [np.array(t.embedding, np.float32) * np.float32(len(t)) for t in mine]
    return unit(np.sum(weighted, axis=0))


def absences(tracks: Sequence[Track]) -> tuple[Gap, ...]:
    """Stretches in which a person is not seen, between two tracks of theirs.

    Each is told under the number of the track that ends there.
    """
    found: list[Gap] = []
    for person in sorted({t.person for t in tracks if t.person is not None}):
        mine = [t for t in tracks if t.person == person]
        mine.sort(key=lambda t: int(t.frames[0]))
        for one, other in pairwise(mine):
            start, stop = int(one.frames[-1]) + 1, int(other.frames[0])
            if start < stop:
                found.append(Gap(track=one.track, frame_start=start, frame_stop=stop))
    return tuple(found)


def likenesses(tracks: Sequence[Track], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """[tracks, references] cosine similarity; -1 for a track without an embedding.

    Args:
        tracks: Of one job.
        references: [n, 512] unit length.
    """
    found = np.full((len(tracks), len(references)), -1.0, np.float32)
    for i, track in enumerate(tracks):
        if track.embedding is not None and len(references):
            found[i] = references @ np.array(track.embedding, np.float32)
    return found
