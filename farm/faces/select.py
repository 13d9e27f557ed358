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
    many: bool,
    reference: NDArray[np.float32] | None,
    embed: Embed,
) -> tuple[Face, ...]:
    """All faces with `many`; else the one most like the reference, or none.

    Without a reference (no frame of the video has a face) none is taken. Of two faces that are
    equally alike the larger one, which stands first, is taken.
    """
    if many:
        return tuple(faces)
    if reference is None or not faces:
        return ()
    alike = [
        -1.0 if vector is None else float(np.dot(vector, reference)) for vector in embed(faces)
    ]
    best = int(np.argmax(alike))
    return (faces[best],) if alike[best] >= SAME_PERSON else ()
