import numpy as np
import pytest

from farm.faces.align import (
    arcface_template,
    crop_box,
    ffhq_template,
    similarity,
)


def _turned(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, np.array(shift)[:, None]])


@pytest.mark.parametrize("angle", [0.0, 0.7, 3.0, -1.6])
@pytest.mark.parametrize("scale", [0.05, 1.0, 12.0])
def test_a_known_similarity_is_found_again(angle: float, scale: float) -> None:
    matrix = _turned(angle, scale, (40, -7))
    template = arcface_template(112)
    landmarks = (template - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    found = similarity(landmarks.astype(np.float32), template)
    assert found is not None
    assert np.allclose(found, matrix, rtol=1e-3, atol=1e-2)


def test_a_mirrored_face_is_turned_and_never_mirrored() -> None:
    template = arcface_template(112)
    found = similarity((template * (-1, 1)).astype(np.float32), template)
    assert found is None or np.linalg.det(found[:, :2]) > 0


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_landmarks_that_say_nothing_give_nothing(bad: float) -> None:
    assert similarity(np.full((5, 2), bad, np.float32), ffhq_template(512)) is None


def test_templates_scale_with_the_crop() -> None:
    assert np.allclose(arcface_template(224), 2 * arcface_template(112))
    assert np.allclose(arcface_template(128) - arcface_template(112), (8, 0))
    assert np.allclose(arcface_template(256), 2 * arcface_template(128))
    assert np.allclose(ffhq_template(256), ffhq_template(512) / 2)
    with pytest.raises(ValueError, match="100"):
        arcface_template(100)


def test_the_box_of_a_crop_holds_its_corners() -> None:
    assert crop_box(_turned(0.0, 0.5, (-50.0, -20.0)), 100) == (99, 39, 301, 241)
