"""What an analysis has seen of one chunk, kept so that a killed job does not look again.

Not for: the face table that becomes of it (`farm.faces.table_file`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from farm.faces.face import Face
from farm.faces.observe import Sight
from farm.faces.table import Origin


def write_sights(path: Path, job: str, frame_start: int, sights: Sequence[Sight]) -> None:
    """Write the sights of a chunk, completely or not at all.

    Args:
        path: The file.
        job: Fingerprint of the job.
        frame_start: Number of the first frame.
        sights: Frame by frame.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "job": job,
        "frame_start": frame_start,
        "sights": [_sight_fields(sight) for sight in sights],
    }
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_sights(path: Path, job: str, frame_start: int, count: int) -> list[Sight] | None:
    """The sights of a chunk, None where they are not there, not whole, or of another job."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["job"], document["frame_start"]) != (job, frame_start):
            return None
        sights = [_sight(fields) for fields in document["sights"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sights if len(sights) == count else None


def _sight_fields(sight: Sight) -> dict[str, Any]:
    return {
        "origin": sight.origin.value,
        "cut_after": sight.cut_after,
        "faces": [_face_fields(face) for face in sight.faces],
    }


def _face_fields(face: Face) -> dict[str, Any]:
    points, vector = face.landmarks_xy, face.embedding
    return {
        "box": face.box_xyxy.tolist(),
        "score": face.score,
        "landmarks": None if points is None else points.tolist(),
        "embedding": None if vector is None else vector.tolist(),
    }


def _sight(fields: dict[str, Any]) -> Sight:
    return Sight(
        faces=tuple(_face(each) for each in fields["faces"]),
        origin=Origin(fields["origin"]),
        cut_after=bool(fields["cut_after"]),
    )


def _face(fields: dict[str, Any]) -> Face:
    points, vector = fields["landmarks"], fields["embedding"]
    return Face(
        box_xyxy=np.array(fields["box"], np.float32),
        score=float(fields["score"]),
        landmarks_xy=None if points is None else np.array(points, np.float32),
        embedding=None if vector is None else np.array(vector, np.float32),
    )
