"""Whom a job that reads a face table works on: what was asked for, and the casting it becomes.

Not for: jobs that find their faces while they render (`farm.process`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from farm.face_settings import FaceOrder
from farm.faces.casting import Casting, cast_alike, cast_track, track_at
from farm.faces.table import FaceTable

NOBODY_NOTE = "no frame shows a face: the pictures stay as they are"
NOBODY_ALIKE_NOTE = "nobody in the clip is like the reference: the pictures stay as they are"
UNKNOWN_NOTE = (
    "the face table does not know who its faces are: only the track that is meant is worked on; "
    "`facefarm analyze --recognize` makes one that does"
)

_MOST_GAPS = 5
FrameAt = Callable[[float], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Who is meant."""

    everyone: bool = False
    references: tuple[tuple[float, ...], ...] = ()
    """Embeddings of people; where there are none, a place in a frame says who is meant."""
    least_likeness: float
    order: FaceOrder
    at_s: float | None = None
    """Second of the frame; None for the first frame with so many faces."""
    number: int = 1


def cast(wanted: Wanted, table: FaceTable, frame_at: FrameAt) -> tuple[Casting, tuple[str, ...]]:
    """Decide who is worked on, and say what is odd about it.

    Raises:
        InputError: There is no such face at the time that was asked for.
    """
    if wanted.everyone:
        return Casting(everyone=True), ()
    if wanted.references:
        people = np.array(wanted.references, np.float32)
        roles = cast_alike(table.tracks, people, wanted.least_likeness)
        return Casting(roles=roles), () if roles else (NOBODY_ALIKE_NOTE,)
    asked = f"--reference-at {wanted.at_s:g}" if wanted.at_s is not None else "--face-selector one"
    frame = None if wanted.at_s is None else frame_at(wanted.at_s)
    chosen = track_at(table, frame, wanted.order, wanted.number, asked)
    if chosen is None:
        return Casting(), (NOBODY_NOTE,)
    known = chosen.embedding is not None or chosen.person is not None
    roles = cast_track(table.tracks, chosen, wanted.least_likeness)
    return Casting(roles=roles), () if known or len(table.tracks) == 1 else (UNKNOWN_NOTE,)


def gap_notes(table: FaceTable) -> tuple[str, ...]:
    """What is to be said of stretches in which somebody vanishes and returns."""
    gaps = table.gaps
    if not gaps:
        return ()
    shown = ", ".join(f"{gap.frame_start} to {gap.frame_stop - 1}" for gap in gaps[:_MOST_GAPS])
    more = f" and {len(gaps) - _MOST_GAPS} more" if len(gaps) > _MOST_GAPS else ""
    return (f"a face vanishes and returns {len(gaps)} times: look at frames {shown}{more}",)
