from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.bench.clip import make_clip
from farm.bench.limits import Sessions, frames_of
from farm.bench.networks import make_detector, make_networks, make_recognizer
from farm.bench.sizes import NetworkSize
from farm.bench.swap_network import make_swap_network
from farm.faces.detect import detect_faces
from farm.faces.recognise import Recogniser
from farm.faces.scrfd import ScrfdDetector
from farm.media.frame import EditableFrame
from farm.media.stream import ColorTags
from farm.models.entry import ModelKind
from farm.models.graph import unused_matrix
from farm.models.session import SessionSettings, open_session
from farm.models.store import ModelFile
from farm.processors.face_swapper import SwapNetwork

CPU = SessionSettings(provider="cpu", threads=1)


def test_the_detector_finds_one_face_on_the_portrait_in_every_frame_of_the_clip(
    tmp_path: Path,
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 3)
    detector = ScrfdDetector(open_session(make_detector(tmp_path / "d.onnx", 0.0), CPU))
    frames = [EditableFrame(frame, color=ColorTags()) for frame in frames_of(clip, 1)]
    assert [(frame.width, frame.height) for frame in frames] == [(1920, 1080)] * 3
    found = detect_faces(detector, frames)
    assert [len(faces) for faces in found] == [1, 1, 1]
    left, top, right, bottom = found[0][0].box_xyxy
    # The portrait is 600 px wide and begins at the left edge.
    assert 150 < left < right < 450
    assert 300 < top < bottom < 800


def test_a_wider_network_of_the_same_signature_finds_the_same_face(tmp_path: Path) -> None:
    picture = np.zeros((384, 640, 3), np.uint8)
    picture[100:200, 200:300] = (20, 90, 200)
    boxes = []
    for width in (0.0, 0.1):
        session = open_session(make_detector(tmp_path / f"{width}.onnx", width), CPU)
        boxes.append(ScrfdDetector(session).detect([picture])[0][0].box_xyxy)
    assert np.allclose(boxes[0], boxes[1])


def test_a_cold_picture_has_no_face(tmp_path: Path) -> None:
    detector = ScrfdDetector(open_session(make_detector(tmp_path / "d.onnx", 0.0), CPU))
    assert detector.detect([np.full((384, 640, 3), (200, 90, 20), np.uint8)]) == [[]]


@pytest.mark.parametrize("width", [0.0, 0.05])
def test_swap_network_and_recognizer_have_the_signatures_that_the_farm_takes(
    tmp_path: Path, width: float
) -> None:
    path = make_swap_network(tmp_path / "s.onnx", width=width)
    assert unused_matrix(path, (512, 512)).shape == (512, 512)
    latent = np.ones((1, 512), np.float32)
    file = ModelFile(
        kind=ModelKind.SWAPPER, path=path, sha256="", name="s", licence="", verified=False
    )
    network = SwapNetwork(open_session(path, CPU), latent, file)
    crops = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), np.uint8)
    given = network.replace(crops)
    assert given.shape == crops.shape
    assert not np.array_equal(given[0], given[1])
    Recogniser(open_session(make_recognizer(tmp_path / "r.onnx", width), CPU))


def test_the_networks_run_alone_on_input_of_their_own_shape(tmp_path: Path) -> None:
    networks = make_networks(tmp_path, NetworkSize.TINY)
    Sessions((networks.detector, networks.swapper), CPU).run(2)
