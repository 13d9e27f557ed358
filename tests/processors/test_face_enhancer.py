from pathlib import Path

import numpy as np
import pytest

from farm.errors import ModelError
from farm.processors.face_enhancer import FaceEnhancer
from farm.settings import ProcessorSettings
from tests.faces.pictures import gray_picture
from tests.model_maker import make_enhancer, make_inswapper
from tests.processors.contexts import Box, context, face_frame

FACE: Box = (120, 90, 200, 170)


def _enhanced(tmp_path: Path, blend: float, size_px: int = 64, selected: int = 1) -> list[int]:
    model = make_enhancer(tmp_path / "e.onnx", size_px)
    settings = ProcessorSettings(enhancer_blend=blend)
    given = context(tmp_path, settings, models=(("enhancer", model),))
    enhancer = FaceEnhancer()
    enhancer.check(given)
    enhancer.start(given)
    item = face_frame(gray_picture(), FACE, selected=selected)
    enhancer.process([item])
    return [int(v) for v in item.frame.to_bgr()[130, 160]]


@pytest.mark.parametrize("size_px", [64, 256, 512])
def test_the_networks_picture_replaces_the_face(tmp_path: Path, size_px: int) -> None:
    assert _enhanced(tmp_path, 1.0, size_px) == [165, 165, 165]


def test_the_blend_is_the_weight_of_the_enhanced_face(tmp_path: Path) -> None:
    assert _enhanced(tmp_path, 0.0) == [90, 90, 90]
    assert np.abs(np.array(_enhanced(tmp_path, 0.4)) - 120).max() <= 1


def test_faces_that_were_not_selected_stay(tmp_path: Path) -> None:
    assert _enhanced(tmp_path, 1.0, selected=0) == [90, 90, 90]


def test_missing_and_wrong_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"GFPGANv1\.4\.onnx is missing"):
        FaceEnhancer().check(context(tmp_path))
    given = context(tmp_path, models=(("enhancer", make_inswapper(tmp_path / "s.onnx")),))
    for ask in (FaceEnhancer().check, FaceEnhancer().start):
        with pytest.raises(ModelError, match="one square RGB picture"):
            ask(given)
