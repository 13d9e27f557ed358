from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.select import SAME_PERSON, select_faces
from tests.faces.pictures import face_at

LARGE, SMALL = face_at((0, 0, 90, 90)), face_at((100, 0, 130, 30))
REFERENCE, OTHER = np.eye(512, dtype=np.float32)[:1], np.eye(512, dtype=np.float32)[1:2]


def _vector(likeness: float) -> NDArray[np.float32]:
    vector = np.zeros(512, np.float32)
    vector[:2] = likeness, np.sqrt(1 - likeness**2)
    return vector


def _select(
    likeness: Sequence[float | None], references: NDArray[np.float32] = REFERENCE, **changes: float
) -> tuple[Face, ...]:
    vectors = [None if each is None else _vector(each) for each in likeness]
    faces = (LARGE, SMALL)[: len(vectors)]
    return select_faces(faces, references=references, embed=lambda _f: vectors, **changes)


def test_the_face_most_like_the_reference_is_taken_not_the_largest() -> None:
    assert _select([0.4, 0.8]) == (SMALL,)


def test_a_stranger_is_not_taken() -> None:
    assert _select([SAME_PERSON - 0.01, 0.0]) == ()
    assert _select([SAME_PERSON + 0.01]) == (LARGE,)


def test_a_face_that_cannot_be_embedded_is_not_taken() -> None:
    assert _select([None, 0.5]) == (SMALL,)
    assert _select([None]) == ()


def test_of_equals_the_larger_is_taken() -> None:
    assert _select([0.7, 0.7]) == (LARGE,)


def test_without_faces_or_reference_none_is_taken() -> None:
    assert _select([]) == ()
    assert _select([0.9], REFERENCE[:0]) == ()


def test_each_reference_takes_the_face_most_like_it() -> None:
    both = np.concatenate([REFERENCE, OTHER])
    assert _select([0.9, 0.1], both) == (LARGE, SMALL)
    assert _select([0.8, 0.2], both) == (LARGE, SMALL)
    assert _select([0.7], both) == (LARGE,)


def test_the_least_likeness_can_be_chosen() -> None:
    assert _select([0.5], least_likeness=0.6) == ()
    assert _select([0.5], least_likeness=0.4) == (LARGE,)
