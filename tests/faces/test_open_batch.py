from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import farm.faces.open_batch
from farm.faces.open_batch import open_detector_session, with_open_batch
from farm.faces.scrfd import ScrfdDetector
from farm.models.device_session import DeviceSession
from farm.models.session import SessionSettings, open_session
from tests.model_maker import draw_face, make_scrfd
from tests.single_scrfd import make_single_scrfd

CPU = SessionSettings(provider="cpu", threads=1)


def pictures() -> list[np.ndarray]:
    found = []
    for left in (40, 200, 400):
        picture = np.full((384, 640, 3), 90, np.uint8)
        draw_face(picture, (left, 100, left + 90, 190))
        found.append(picture)
    return found


def test_a_graph_for_one_picture_takes_many_and_finds_the_same(tmp_path: Path) -> None:
    path = make_single_scrfd(tmp_path / "d.onnx")
    assert open_session(path, CPU).get_inputs()[0].shape[0] == 1
    session = open_detector_session(path, CPU)
    assert session.get_inputs()[0].shape[0] == "n"
    assert {len(each.shape) for each in session.get_outputs()} == {3}
    at_once = session.run(None, {"input.1": _blob(3)})
    alone = [open_session(path, CPU).run(None, {"input.1": _blob(3)[i : i + 1]}) for i in range(3)]
    for number, many in enumerate(at_once):
        for i in range(3):
            assert np.array_equal(many[i], alone[i][number])


def _blob(count: int) -> np.ndarray:
    return np.random.default_rng(5).random((count, 3, 96, 128), np.float32)


def test_a_rewrite_whose_results_differ_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_single_scrfd(tmp_path / "d.onnx")
    monkeypatch.setattr(farm.faces.open_batch, "_PLACE_LAST", ([2, 3, 0, 1], [0, 3, 2, 1]))
    monkeypatch.setattr(farm.faces.open_batch, "_SIDE_PX", 96)
    assert open_detector_session(path, CPU).get_inputs()[0].shape[0] == 1


def test_a_graph_that_is_built_otherwise_stays_as_it_is(tmp_path: Path) -> None:
    path = make_scrfd(tmp_path / "d.onnx")
    assert with_open_batch(path) is None
    assert open_detector_session(path, CPU).get_inputs()[0].shape == [1, 3, "h", "w"]


def test_a_graph_that_takes_many_is_not_touched(tmp_path: Path) -> None:
    path = make_scrfd(tmp_path / "d.onnx", batch=True)
    before = [each.shape for each in open_session(path, CPU).get_outputs()]
    assert [each.shape for each in open_detector_session(path, CPU).get_outputs()] == before


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: DeviceSession(s, batch=2)])
def test_faces_are_the_same_on_a_device_in_batches(
    tmp_path: Path, wrap: Callable[[object], object]
) -> None:
    session = open_session(make_scrfd(tmp_path / "d.onnx", batch=True), CPU)
    found = ScrfdDetector(wrap(session)).detect(pictures())
    assert [round(float(faces[0].box_xyxy[0])) for faces in found] == [40, 200, 400]


def test_the_rewrite_is_a_valid_graph(tmp_path: Path) -> None:
    data = with_open_batch(make_single_scrfd(tmp_path / "d.onnx"))
    assert data is not None
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
