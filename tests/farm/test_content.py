from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame

from farm.content import (
    CLASSES,
    ContentClassifier,
    check_image_content,
    check_video_content,
)
from farm.errors import ContentError, InputError, ModelError
from farm.image_target import render_image
from farm.media.index import VideoIndex, build_index
from farm.media.plan import FramePlan, plan_frames
from farm.media.retime import stretch
from farm.models.session import SessionSettings, open_session
from farm.observer import NullObserver
from farm.settings import ProcessorSettings, RenderSettings
from tests import model_maker

RED, GREY = (0, 0, 255), (90, 90, 90)
RATE = 10


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return model_maker.make_classifier(tmp_path / "classifier.onnx")


def settings(target: Path, classifier: Path, **changes: Any) -> RenderSettings:
    fields: dict[str, Any] = {
        "target": target,
        "output": target.with_name(f"out{target.suffix}"),
        "processors": ProcessorSettings(names=("none",)),
        "execution_provider": "cpu",
        "models": (("classifier", classifier),),
        "allow_unverified_models": True,
        "nsfw_filter": True,
    }
    return RenderSettings(**(fields | changes))


def image(path: Path, colour_bgr: tuple[int, int, int]) -> Path:
    cv2.imwrite(str(path), np.full((60, 100, 3), colour_bgr, np.uint8))
    return path


def video(path: Path, seconds: int, red: range = range(0)) -> tuple[VideoIndex, FramePlan]:
    """A grey clip whose frames `red` are red, with a single keyframe."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"g": "10000"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(seconds * RATE):
            colour = RED if number in red else GREY
            frame = VideoFrame.from_ndarray(np.full((64, 96, 3), colour, np.uint8), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    index = build_index(path)
    return index, plan_frames(index, None)


def test_a_score_is_the_share_of_the_refused_classes(classifier: Path) -> None:
    session = open_session(classifier, SessionSettings(provider="cpu", threads=1))
    pictures = [np.full((40, 70, 3), colour, np.uint8) for colour in (RED, GREY, RED)]
    scores = ContentClassifier(session, "classifier").scores(pictures)
    assert [score > 0.99 for score in scores] == [True, False, True]
    assert scores[1] < 0.1
    assert len(CLASSES) == 5


def test_a_model_of_another_kind_is_no_classifier(tmp_path: Path) -> None:
    arcface = model_maker.make_arcface(tmp_path / "arcface.onnx")
    with pytest.raises(ModelError, match="no content classifier"):
        check_image_content(settings(image(tmp_path / "a.png", GREY), arcface))


def test_a_refused_image_is_not_rendered(tmp_path: Path, classifier: Path) -> None:
    asked = settings(image(tmp_path / "a.png", RED), classifier)
    with pytest.raises(ContentError, match=r"a\.png: the content filter refuses it"):
        render_image(asked, NullObserver())
    assert not asked.output.exists()
    assert ContentError.exit_code == 5


def test_an_innocent_image_is_rendered_and_the_report_says_what_was_looked_at(
    tmp_path: Path, classifier: Path
) -> None:
    asked = settings(image(tmp_path / "a.png", GREY), classifier)
    report = render_image(asked, NullObserver())
    assert any("content filter: pictures looked at: 1" in note for note in report.notes)


def test_a_refused_source_stops_the_job_too(tmp_path: Path, classifier: Path) -> None:
    target = image(tmp_path / "a.png", GREY)
    source = image(tmp_path / "source.png", RED)
    with pytest.raises(ContentError, match=r"source\.png"):
        check_image_content(settings(target, classifier, sources=(source,)))


def test_without_the_option_nothing_is_looked_at(tmp_path: Path) -> None:
    asked = settings(tmp_path / "missing.png", tmp_path / "missing.onnx", nsfw_filter=False)
    assert check_image_content(asked) == ()


def test_two_seconds_of_a_long_shot_are_enough_to_be_seen(tmp_path: Path, classifier: Path) -> None:
    path = tmp_path / "a.mp4"
    index, plan = video(path, 9, red=range(43, 43 + 2 * RATE))
    said: list[str] = []
    with pytest.raises(ContentError, match=r"a\.mp4 at \d\.\d s"):
        check_video_content(settings(path, classifier), index, plan, said.append)
    assert said


def test_an_innocent_video_passes_with_a_note(tmp_path: Path, classifier: Path) -> None:
    path = tmp_path / "a.mp4"
    index, plan = video(path, 9)
    (note,) = check_video_content(settings(path, classifier), index, plan, lambda _: None)
    assert note.startswith("content filter: pictures looked at: 6, highest score 0.0")


def test_of_a_preview_only_its_frames_are_looked_at(tmp_path: Path, classifier: Path) -> None:
    path = tmp_path / "a.mp4"
    index, plan = video(path, 9, red=range(60, 90))
    asked = settings(path, classifier)
    assert check_video_content(asked, index, stretch(plan, 1.0, 20), lambda _: None)
    with pytest.raises(ContentError):
        check_video_content(asked, index, stretch(plan, 5.5, 20), lambda _: None)


def test_a_missing_source_is_named(tmp_path: Path, classifier: Path) -> None:
    target = image(tmp_path / "a.png", GREY)
    with pytest.raises(InputError, match=r"gone\.png"):
        check_image_content(settings(target, classifier, sources=(tmp_path / "gone.png",)))
