from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from farm.errors import ModelError, SettingsError
from farm.processors.base import FaceFrame
from farm.processors.face_swapper import FaceSwapper, latent_of
from tests.faces.pictures import gray_picture
from tests.model_maker import (
    COLOURS_BGR,
    embedding_of,
    make_enhancer,
    make_inswapper,
    swap_colour,
)
from tests.processors.contexts import Box, context, face_frame

SOURCE = embedding_of(COLOURS_BGR["cyan"])
FIRST: Box = (120, 90, 200, 170)
SECOND: Box = (260, 120, 320, 180)


def _started(tmp_path: Path, model: Path) -> FaceSwapper:
    given = context(tmp_path, models=(("swapper", model),), source=SOURCE)
    swapper = FaceSwapper()
    swapper.check(given)
    swapper.start(given)
    return swapper


def _centre(item: FaceFrame, box: Box) -> list[int]:
    colour = item.frame.to_bgr()[int(box[1] + box[3]) // 2, int(box[0] + box[2]) // 2]
    return [int(v) for v in colour]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("source_first", [False, True])
def test_a_selected_face_gets_the_sources_colour(
    tmp_path: Path, batch: bool, source_first: bool
) -> None:
    model = make_inswapper(tmp_path / "swap.onnx", batch=batch, source_first=source_first)
    items = [face_frame(gray_picture(), FIRST, SECOND, selected=1) for _ in range(3)]
    _started(tmp_path, model).process(items)
    for item in items:
        assert np.abs(np.array(_centre(item, FIRST)) - swap_colour(SOURCE)).max() <= 1
        assert _centre(item, SECOND) == [90, 90, 90]


def test_the_colour_tells_whether_the_models_matrix_was_used() -> None:
    without = 1 / (1 + np.exp(-6.0 * float(SOURCE[:510:3].sum()) / np.sqrt(170)))
    assert abs(swap_colour(SOURCE)[2] - without * 255) < 1
    moved = np.roll(SOURCE, 1)
    assert swap_colour(SOURCE) != swap_colour(moved)


def test_how_frames_are_batched_changes_no_pixel(tmp_path: Path) -> None:
    swapper = _started(tmp_path, make_inswapper(tmp_path / "swap.onnx", batch=True))
    rng = np.random.default_rng(5)
    pictures = [rng.integers(0, 256, (300, 400, 3), np.uint8) for _ in range(3)]
    close: Box = (150, 110, 230, 190)
    together = [face_frame(p, FIRST, close) for p in pictures]
    swapper.process(together)
    for picture, item in zip(pictures, together, strict=True):
        alone = face_frame(picture, FIRST, close)
        swapper.process([alone])
        assert np.array_equal(alone.frame.to_bgr(), item.frame.to_bgr())


def test_each_face_gets_the_source_that_it_was_given(tmp_path: Path) -> None:
    other = embedding_of(COLOURS_BGR["magenta"])
    model = make_inswapper(tmp_path / "swap.onnx", batch=True)
    given = replace(
        context(tmp_path, models=(("swapper", model),), source=SOURCE),
        more_sources=(tuple(float(v) for v in other),),
    )
    swapper = FaceSwapper()
    swapper.start(given)
    item = face_frame(gray_picture(), FIRST, SECOND)
    second = replace(item.selected[1], source=1)
    item.selected = (item.selected[0], second)
    swapper.process([item])
    assert np.abs(np.array(_centre(item, FIRST)) - swap_colour(SOURCE)).max() <= 1
    assert np.abs(np.array(_centre(item, SECOND)) - swap_colour(other)).max() <= 1


def test_frames_without_selected_faces_stay_untouched(tmp_path: Path) -> None:
    item = face_frame(gray_picture(), FIRST, selected=0)
    _started(tmp_path, make_inswapper(tmp_path / "swap.onnx")).process([item])
    assert not item.frame.touched


def test_without_a_source_it_does_not_start(tmp_path: Path) -> None:
    model = make_inswapper(tmp_path / "swap.onnx")
    with pytest.raises(SettingsError, match="--source"):
        FaceSwapper().start(context(tmp_path, models=(("swapper", model),)))


def test_a_missing_model_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"inswapper_128\.onnx is missing.*licence"):
        FaceSwapper().check(context(tmp_path))


def test_a_model_of_another_kind_is_refused_before_anything_starts(tmp_path: Path) -> None:
    model = make_enhancer(tmp_path / "e.onnx", 32)
    with pytest.raises(ModelError, match="where a swap model takes a square picture"):
        FaceSwapper().check(context(tmp_path, models=(("swapper", model),)))


def test_a_latent_has_unit_length_and_needs_a_matrix_that_keeps_something() -> None:
    matrix = np.eye(512, dtype=np.float32) * 7
    assert np.linalg.norm(latent_of(SOURCE, matrix)) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ModelError, match="matrix"):
        latent_of(SOURCE, matrix * 0)
