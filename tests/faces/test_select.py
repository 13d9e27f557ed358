from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from farm.faces.face import Face
from farm.faces.select import SAME_PERSON, select_faces
from tests.faces.pictures import face_at

LARGE, SMALL = face_at((0, 0, 90, 90)), face_at((100, 0, 130, 30))
REFERENCE = np.eye(512, dtype=np.float32)[0]


def _vector(likeness: float) -> NDArray[np.float32]:
    vector = np.zeros(512, np.float32)
    vector[:2] = likeness, np.sqrt(1 - likeness**2)
    return vector


def _select(
    likeness: Sequence[float | None], *, many: bool = False, reference: bool = True
) -> tuple[Face, ...]:
    vectors = [None if each is None else _vector(each) for each in likeness]
    faces = (LARGE, SMALL)[: len(vectors)]
    return select_faces(
        faces, many=many, reference=REFERENCE if reference else None, embed=lambda _f: vectors
    )


def test_with_many_faces_all_are_taken() -> None:
    assert _select([0.0, 0.9], many=True) == (LARGE, SMALL)


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
    assert _select([0.9], reference=False) == ()
