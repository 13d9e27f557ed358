from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from farm.faces.observe import Sight
from farm.faces.sight_file import read_sights, write_sights
from farm.faces.table import Origin
from tests.faces.pictures import face_at

FACE = replace(
    face_at((10.123456, 20, 70.7, 80)), embedding=np.linspace(0, 1, 512, dtype=np.float32)
)
SIGHTS = [
    Sight(faces=(FACE, face_at((1, 2, 3, 4), landmarks=False)), origin=Origin.DETECTED),
    Sight(faces=(), origin=Origin.TRACKED, cut_after=True),
]


def test_sights_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "00003.faces"
    write_sights(path, "job", 24, SIGHTS)
    found = read_sights(path, "job", 24, 2)
    assert found is not None
    assert [(s.origin, s.cut_after, len(s.faces)) for s in found] == [
        (Origin.DETECTED, False, 2),
        (Origin.TRACKED, True, 0),
    ]
    one, other = found[0].faces[0], found[0].faces[1]
    assert one.score == FACE.score
    for name in ("box_xyxy", "landmarks_xy", "embedding"):
        assert np.array_equal(getattr(one, name), getattr(FACE, name))
    assert other.landmarks_xy is None
    assert other.embedding is None
    assert [path.name for path in tmp_path.iterdir()] == ["00003.faces"]


@pytest.mark.parametrize("asked", [("other", 24, 2), ("job", 12, 2), ("job", 24, 3)])
def test_sights_of_another_job_or_chunk_are_not_taken(
    tmp_path: Path, asked: tuple[str, int, int]
) -> None:
    path = tmp_path / "00003.faces"
    write_sights(path, "job", 24, SIGHTS)
    assert read_sights(path, *asked) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": "job", "frame_start": 24, "sights": 3}'])
def test_a_file_that_is_not_whole_is_not_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "00003.faces"
    assert read_sights(path, "job", 24, 2) is None
    path.write_text(text)
    assert read_sights(path, "job", 24, 2) is None
