"""Which of a frame's faces a job works on.

Not for: anonymising, which takes every face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face

SAME_PERSON = 0.3
"""Least cosine similarity of two ArcFace embeddings that are taken for one person."""

Embed = Callable[[Sequence[Face]], Sequence[NDArray[np.float32] | None]]
"""[512] unit length for each face of the frame; None where a face cannot be embedded."""


def select_faces(
    faces: Sequence[Face],
    *,
    references: NDArray[np.float32],
    embed: Embed,
    least_likeness: float = SAME_PERSON,
) -> tuple[Face, ...]:
    """For each reference the face most like it, where one is like it at all.

    Of two faces that are equally alike the larger one, which stands first, is taken.

    Args:
        faces: Of one frame, largest first.
        references: [n, 512] unit length: the people who are looked for.
        embed: Embeds faces of the frame.
        least_likeness: Cosine similarity from which a face is taken for a person.
    """
    if not len(references) or not faces:
        return ()
    alike = np.full((len(faces), len(references)), -1.0, np.float32)
    for row, vector in zip(alike, embed(faces), strict=True):
        if vector is not None:
            row[:] = references @ vector
    best = [int(place) for place in np.argmax(alike, axis=0)]
    taken = {place for i, place in enumerate(best) if alike[place, i] >= least_likeness}
    return tuple(faces[place] for place in sorted(taken))
