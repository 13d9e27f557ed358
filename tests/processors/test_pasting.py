"""What the settings of pasting do, by the processors that paste."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import ModelError
from farm.faces.face import Face
from farm.faces.parse import FaceParser, VisibleFace
from farm.faces.paste import ReadablePicture
from farm.paste_settings import FaceMask, PasteSettings, SwapSize
from farm.processors.base import FaceFrame, FrameProcessor
from farm.processors.face_enhancer import FaceEnhancer
from farm.processors.face_swapper import FaceSwapper
from farm.processors.models import model_kinds
from farm.settings import ProcessorSettings
from tests.faces.pictures import GRAY, gray_picture
from tests.model_maker import (
    COLOURS_BGR,
    embedding_of,
    make_enhancer,
    make_inswapper,
    make_parser,
    swap_colour,
)
from tests.processors.contexts import Box, context, face_frame

SOURCE = embedding_of(COLOURS_BGR["cyan"])
NEW = np.array(swap_colour(SOURCE))
OLD = np.array([GRAY] * 3)
FACE: Box = (120, 90, 200, 170)
MOUTH = (154, 160)
NOSE = (138, 160)


@pytest.fixture
def models(tmp_path: Path) -> tuple[tuple[str, Path], ...]:
    return (
        ("swapper", make_inswapper(tmp_path / "s.onnx", batch=True)),
        ("enhancer", make_enhancer(tmp_path / "e.onnx", 64)),
        ("parser", make_parser(tmp_path / "p.onnx", size_px=256)),
    )


def run(
    tmp_path: Path,
    models: tuple[tuple[str, Path], ...],
    processor: FrameProcessor | None = None,
    picture: NDArray[np.uint8] | None = None,
    pix_fmt: str = "bgr24",
    face: Box = FACE,
    **changes: Any,
) -> FaceFrame:
    processor = processor or FaceSwapper()
    settings = ProcessorSettings(paste=PasteSettings(**changes), enhancer_blend=1.0)
    given = context(tmp_path, settings, models=models, source=SOURCE)
    processor.check(given)
    processor.start(given)
    item = face_frame(gray_picture() if picture is None else picture, face, pix_fmt=pix_fmt)
    processor.process([item])
    return item


def colour(item: FaceFrame, place_yx: tuple[int, int]) -> NDArray[np.int64]:
    return np.asarray(item.frame.to_bgr()[place_yx], np.int64)


@pytest.mark.parametrize("processor", [FaceSwapper, FaceEnhancer])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_at_opacity_0_nothing_is_written(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], processor: Any, pix_fmt: str
) -> None:
    item = run(
        tmp_path,
        models,
        processor(),
        pix_fmt=pix_fmt,
        opacity=0.0,
        sharpness=2.0,
        color_transfer=True,
        face_mask=FaceMask.PARSER,
    )
    assert not item.frame.touched


def test_opacity_is_the_weight_of_the_new_face(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    item = run(tmp_path, models, opacity=0.25)
    assert np.abs(colour(item, NOSE) - (OLD + (NEW - OLD) * 0.25)).max() <= 1


@pytest.mark.parametrize("processor", [FaceSwapper, FaceEnhancer])
def test_the_targets_mouth_is_kept_where_it_was_asked_for(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], processor: Any
) -> None:
    item = run(tmp_path, models, processor(), mouth_mask=True)
    assert colour(item, MOUTH).tolist() == OLD.tolist()
    assert np.abs(colour(item, (125, 160)) - OLD).max() > 20
    whole = run(tmp_path, models, processor())
    assert np.abs(colour(whole, MOUTH) - OLD).max() > 20


@pytest.mark.parametrize("processor", [FaceSwapper, FaceEnhancer])
def test_what_lies_before_the_face_stays_before_it(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], processor: Any
) -> None:
    picture = gray_picture()
    picture[:, 150:170] = (0, 255, 0)
    item = run(tmp_path, models, processor(), picture, face_mask=FaceMask.PARSER)
    assert colour(item, NOSE).tolist() == [0, 255, 0]
    assert np.abs(colour(item, (138, 180)) - OLD).max() > 20


def test_a_box_reaches_where_an_ellipse_does_not(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    corner = (92, 118)
    box = run(tmp_path, models, face_mask=FaceMask.BOX, mask_feather=0.05)
    assert np.abs(colour(box, corner) - NEW).max() <= 1
    ellipse = run(tmp_path, models, face_mask=FaceMask.ELLIPSE, mask_feather=0.05)
    assert np.abs(colour(ellipse, corner) - NEW).max() > 20


def test_a_new_face_takes_the_colours_of_the_old_one(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    item = run(tmp_path, models, color_transfer=True)
    assert np.abs(colour(item, NOSE) - OLD).max() <= 2


@pytest.mark.parametrize("size", list(SwapSize))
@pytest.mark.parametrize("face", [FACE, (40, 10, 280, 250)])
def test_every_size_swaps_the_face(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], size: SwapSize, face: Box
) -> None:
    item = run(tmp_path, models, face=face, swap_size=size)
    middle = (int(face[1] + face[3]) // 2, int(face[0] + face[2]) // 2)
    assert np.abs(colour(item, middle) - NEW).max() <= 1


def test_a_wrong_parser_is_refused_before_anything_starts(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    wrong = (*models[:2], ("parser", models[0][1]))
    given = context(
        tmp_path,
        ProcessorSettings(paste=PasteSettings(face_mask=FaceMask.PARSER)),
        models=wrong,
        source=SOURCE,
    )
    for processor in (FaceSwapper(), FaceEnhancer()):
        with pytest.raises(ModelError, match="where a face parser takes one square RGB"):
            processor.check(given)


def test_the_parser_counts_as_a_model_of_the_job_only_where_it_runs() -> None:
    with_parser = ProcessorSettings(paste=PasteSettings(face_mask=FaceMask.PARSER))
    names = ("face_swapper", "face_enhancer")
    assert model_kinds(names, with_parser) == ("swapper", "enhancer", "parser")
    assert model_kinds(names, ProcessorSettings()) == ("swapper", "enhancer")
    assert model_kinds(("face_anonymizer",), with_parser) == ()


def test_the_parser_looks_once_at_a_face_that_two_processors_work_on(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Face] = []
    look = FaceParser.look

    def noted(self: FaceParser, picture: ReadablePicture, face: Face) -> VisibleFace:
        looks.append(face)
        return look(self, picture, face)

    monkeypatch.setattr(FaceParser, "look", noted)
    settings = ProcessorSettings(paste=PasteSettings(face_mask=FaceMask.PARSER))
    given = context(tmp_path, settings, models=models, source=SOURCE)
    processors: list[FrameProcessor] = [FaceSwapper(), FaceEnhancer()]
    item = face_frame(gray_picture(), FACE, (20, 20, 90, 90))
    for processor in processors:
        processor.start(given)
    for processor in processors:
        processor.process([item])
    assert len(looks) == 2
    assert len(given.parsers) == 1
    assert np.abs(colour(item, NOSE) - OLD).max() > 20


@pytest.mark.parametrize(
    ("processor", "kind", "wrong"),
    [(FaceEnhancer, "enhancer", "parser"), (FaceSwapper, "parser", "enhancer")],
)
def test_a_network_that_gives_something_else_is_refused_before_anything_starts(
    tmp_path: Path,
    models: tuple[tuple[str, Path], ...],
    processor: Any,
    kind: str,
    wrong: str,
) -> None:
    given = dict(models)
    taken = tuple((each, given[wrong] if each == kind else path) for each, path in models)
    settings = ProcessorSettings(paste=PasteSettings(face_mask=FaceMask.PARSER))
    with pytest.raises(ModelError, match=r"gives|tells"):
        processor().check(context(tmp_path, settings, models=taken, source=SOURCE))
