from pathlib import Path

import numpy as np
import pytest

from farm.errors import ModelError
from farm.faces.align import arcface_template, ffhq_template
from farm.faces.parse import CLASSES, FaceParser, check_parser, visible
from farm.faces.paste import take_crop
from farm.models.session import SessionSettings, open_session
from tests.faces.pictures import face_at, frame_of, gray_picture
from tests.model_maker import make_parser

FACE = (120.0, 90.0, 240.0, 210.0)
GREEN = (0, 255, 0)


def parser(path: Path, **changes: int) -> FaceParser:
    session = open_session(make_parser(path, **changes), SessionSettings(provider="cpu", threads=1))
    return FaceParser(session, "parser.onnx")


@pytest.mark.parametrize("template", [arcface_template(128), ffhq_template(512)])
def test_what_lies_before_the_face_is_left_out_and_the_rest_is_not(
    tmp_path: Path, template: np.ndarray
) -> None:
    size = 128 if template.max() < 128 else 512
    picture = gray_picture()
    picture[:, 185:215] = GREEN
    face = face_at(FACE)
    crop = take_crop(frame_of(picture), face, template, size)
    assert crop is not None
    mask = parser(tmp_path / "p.onnx").look(frame_of(picture), crop.face).over(crop)

    def at(x: float, y: float) -> float:
        to_x, to_y = crop.matrix @ (x, y, 1) * (len(mask) / size)
        return float(mask[round(to_y), round(to_x)])

    assert at(150, 150) == at(230, 150) == 1
    assert at(200, 130) == at(200, 180) == 0


def test_edges_are_soft() -> None:
    outputs = np.full((CLASSES, 512, 512), -9, np.float32)
    outputs[1, :, :256] = 9
    outputs[17, :, 256:] = 9
    mask = visible(outputs, "p")
    assert mask.shape == (128, 128)
    assert np.abs(np.diff(mask[64])).max() < 0.5
    assert (mask[64, 0], mask[64, -1]) == (1, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ModelError, match="19 classes"):
        visible(np.full((CLASSES, 64, 64), value, np.float32), "p")


def test_networks_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="11 classes where a face parser has 19"):
        parser(tmp_path / "p.onnx", classes=11)
    for shapes in ([[1, 3, 512, 256]], [[1, 3, 64, 64], [1, 512]], [[1, 1, 64, 64]], []):
        with pytest.raises(ModelError, match="one square RGB picture"):
            check_parser(shapes, "p.onnx")
    assert check_parser([["n", 3, "h", "w"]], "p.onnx") == 512
