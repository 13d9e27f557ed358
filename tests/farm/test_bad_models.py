"""Whatever lies where a model should be ends in one clear error before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from farm.errors import ModelError
from farm.image_target import render_image
from farm.observer import NullObserver
from farm.paste_settings import FaceMask, PasteSettings
from farm.settings import ProcessorSettings, RenderSettings
from tests import model_maker
from tests.faces.pictures import gray_picture

FACE = (120, 90, 200, 170)
MAKERS: dict[str, Callable[..., Path]] = {
    "detector": model_maker.make_scrfd,
    "recognizer": model_maker.make_arcface,
    "swapper": model_maker.make_inswapper,
    "enhancer": model_maker.make_enhancer,
    "parser": model_maker.make_parser,
    "classifier": model_maker.make_classifier,
}
HUGE = 1 << 17


def empty(path: Path, _kind: str) -> None:
    path.write_bytes(b"")


def text(path: Path, _kind: str) -> None:
    path.write_text("<html>404: not found</html>\n" * 50)


def truncated(path: Path, kind: str) -> None:
    MAKERS[kind](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def scrambled(path: Path, kind: str) -> None:
    MAKERS[kind](path)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = np.random.default_rng(3).integers(0, min(len(data), 4000), 200)
    data[places] ^= 0x5A
    path.write_bytes(data.tobytes())


def of_another_kind(path: Path, kind: str) -> None:
    other = {"enhancer": "classifier", "parser": "swapper"}.get(kind, "enhancer")
    MAKERS[other](path)


def huge(path: Path, kind: str) -> None:
    model_maker.make_huge(path, kind, HUGE)


def given(tmp_path: Path, models: dict[str, Path], **changes: Any) -> RenderSettings:
    picture = gray_picture()
    model_maker.draw_face(picture, FACE)
    for name in ("target.png", "me.png"):
        cv2.imwrite(str(tmp_path / name), picture)
    fields: dict[str, Any] = {
        "target": tmp_path / "target.png",
        "output": tmp_path / "out.png",
        "sources": (tmp_path / "me.png",),
        "processors": ProcessorSettings(
            names=("face_swapper", "face_enhancer"),
            paste=PasteSettings(face_mask=FaceMask.PARSER),
        ),
        "execution_provider": "cpu",
        "models": tuple(models.items()),
        "allow_unverified_models": True,
        "nsfw_filter": True,
    }
    return RenderSettings(**(fields | changes))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("good")
    return {kind: make(folder / f"{kind}.onnx") for kind, make in MAKERS.items()}


def test_good_models_render(tmp_path: Path, good: dict[str, Path]) -> None:
    report = render_image(given(tmp_path, good), NullObserver())
    assert report.faces == 1
    assert "parser.onnx" in report.model_sha256


@pytest.mark.parametrize("spoil", [empty, text, truncated, scrambled, of_another_kind, huge])
@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_bad_model_is_one_clear_error(
    tmp_path: Path, good: dict[str, Path], kind: str, spoil: Callable[[Path, str], None]
) -> None:
    bad = tmp_path / "bad.onnx"
    spoil(bad, kind)
    settings = given(tmp_path, good | {kind: bad})
    with pytest.raises(ModelError) as caught:
        render_image(settings, NullObserver())
    message = caught.value.message
    assert "bad.onnx" in message, message
    assert "\n" not in message
    assert not settings.output.exists()
