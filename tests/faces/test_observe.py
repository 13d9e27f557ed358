from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.faces.detect import detect_faces
from farm.faces.face import Face
from farm.faces.observe import Observer, Sight, segment_frames
from farm.faces.recognise import Recogniser
from farm.faces.scrfd import ScrfdDetector
from farm.faces.table import Origin
from farm.media.frame import EditableFrame
from farm.models.session import SessionSettings, open_session
from tests.faces.moving import Place, swaying, textured_frames
from tests.model_maker import embedding_of, make_arcface, make_scrfd

CPU = SessionSettings(provider="cpu", threads=1)
MAGENTA = (255, 0, 255)


class CountingDetector:
    """A detector that counts the pictures it looked at."""

    def __init__(self, path: Path) -> None:
        self._inner = ScrfdDetector(open_session(make_scrfd(path, batch=True), CPU))
        self.looked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        self.looked += len(frames)
        return self._inner.detect(frames)


@pytest.fixture
def detector(tmp_path: Path) -> Any:
    return CountingDetector(tmp_path / "scrfd.onnx")


def look(
    detector: Any, frames: Sequence[EditableFrame], every: int, recogniser: Any = None
) -> list[Sight]:
    """What is seen of all frames, segment by segment."""
    observer, size = Observer(detector, recogniser, every), segment_frames(every)
    seen: list[Sight] = []
    for start in range(0, len(frames), size):
        part = frames[start : start + size + 1]
        seen += observer.look(part, closed=len(part) > size)
    return seen


def errors_px(detector: Any, frames: Sequence[EditableFrame], seen: Sequence[Sight]) -> list[float]:
    """Distance of landmarks from detection on every frame, mean over each face."""
    truth = detect_faces(detector, frames)
    assert [len(sight.faces) for sight in seen] == [len(faces) for faces in truth]
    found = []
    for sight, faces in zip(seen, truth, strict=True):
        for face in faces:
            apart = [
                np.linalg.norm(other.landmarks_xy - face.landmarks_xy, axis=1).mean()
                for other in sight.faces
                if other.landmarks_xy is not None and face.landmarks_xy is not None
            ]
            found.append(float(min(apart)))
    return found


@pytest.mark.parametrize("every", [3, 5, 8])
def test_a_moving_face_is_followed_within_two_pixels_of_detection(
    detector: Any, every: int
) -> None:
    frames = textured_frames(61, {"magenta": swaying})
    seen = look(detector, frames, every)
    assert detector.looked < 61 * 1.6 / every
    assert {sight.origin for sight in seen} == {Origin.DETECTED, Origin.TRACKED}
    assert max(errors_px(detector, frames, seen)) < 2.0


def test_detection_on_every_frame_follows_nothing(detector: Any) -> None:
    frames = textured_frames(14, {"magenta": swaying})
    seen = look(detector, frames, 1)
    assert detector.looked == 14
    assert {sight.origin for sight in seen} == {Origin.DETECTED}
    assert max(errors_px(detector, frames, seen)) == 0.0


def test_detection_runs_on_multiples_of_its_distance(detector: Any) -> None:
    seen = look(detector, textured_frames(31, {"magenta": lambda _f: (100, 80, 60)}), 5)
    searched = [i for i, sight in enumerate(seen) if sight.origin is Origin.DETECTED]
    assert searched == [0, 5, 10, 15, 20, 25, 30]
    assert detector.looked == len(searched)


def test_a_face_that_comes_or_goes_between_is_seen_on_its_very_frames(detector: Any) -> None:
    def visitor(frame: int) -> Place | None:
        return (60, 60, 50) if 13 <= frame < 27 else None

    frames = textured_frames(41, {"magenta": swaying, "cyan": visitor})
    seen = look(detector, frames, 10)
    assert [len(sight.faces) for sight in seen] == [1 + (13 <= i < 27) for i in range(41)]
    assert max(errors_px(detector, frames, seen)) < 2.0


def test_a_shot_that_is_shorter_than_the_distance_is_searched(detector: Any) -> None:
    def guest(frame: int) -> Place | None:
        return (60, 60, 50) if 13 <= frame < 17 else None

    frames = textured_frames(31, {"magenta": guest}, shots=[13, 17])
    seen = look(detector, frames, 10)
    assert [len(sight.faces) for sight in seen] == [int(13 <= i < 17) for i in range(31)]
    assert [i for i, sight in enumerate(seen) if sight.cut_after] == [12, 16]


def test_motion_is_no_cut(detector: Any) -> None:
    seen = look(detector, textured_frames(30, {"magenta": swaying}), 1)
    assert not any(sight.cut_after for sight in seen)


def test_a_cut_at_an_anchor_is_seen_by_the_segment_before_it(detector: Any) -> None:
    assert segment_frames(5) == 15
    for every in (1, 5):
        size = segment_frames(every)
        frames = textured_frames(2 * size, {}, shots=[size])
        seen = look(detector, frames, every)
        assert [i for i, sight in enumerate(seen) if sight.cut_after] == [size - 1]


def test_segments_do_not_depend_on_each_other(detector: Any) -> None:
    frames = textured_frames(46, {"magenta": swaying})
    whole = look(detector, frames, 5)
    late = look(detector, frames[15:], 5)
    for one, other in zip(whole[15:], late, strict=True):
        assert [f.box_xyxy.tolist() for f in one.faces] == [
            f.box_xyxy.tolist() for f in other.faces
        ]


def test_faces_are_recognised_at_anchors_and_where_they_appear(
    detector: Any, tmp_path: Path
) -> None:
    def late(frame: int) -> Place | None:
        return (300, 20, 50) if frame >= 7 else None

    recogniser = Recogniser(open_session(make_arcface(tmp_path / "arcface.onnx"), CPU))
    frames = textured_frames(30, {"magenta": swaying, "cyan": late})
    seen = look(detector, frames, 1, recogniser)
    known = [
        (i, len(sight.faces))
        for i, sight in enumerate(seen)
        for f in sight.faces
        if f.embedding is not None
    ]
    assert known == [(0, 1), (7, 2), (12, 2), (12, 2), (24, 2), (24, 2)]
    first = seen[0].faces[0].embedding
    assert first is not None
    assert float(first @ embedding_of(MAGENTA)) > 0.9
