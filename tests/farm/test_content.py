from __future__ import annotations

from dataclasses import replace
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
    EVERY_S,
    LIMIT,
    ContentClassifier,
    ContentScore,
    check_image_content,
    check_source_content,
)
from farm.errors import ContentError, InputError, ModelError
from farm.image_target import render_image
from farm.media.chunk_file import read_header
from farm.media.plan import FramePlan
from farm.media.retime import stretch
from farm.media.samples import places_to_look_at
from farm.models.session import SessionSettings, open_session
from farm.observer import NullObserver
from farm.render import ChunkRenderer
from farm.settings import ProcessorSettings, RenderSettings
from tests import model_maker
from tests.rendering import blocks_of, face_job, job_for, serial_md5s, shown_md5s, task_of

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


def video(path: Path, seconds: int, red: range = range(0)) -> None:
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


def watched(tmp_path: Path, classifier: Path, clip: Path, *, start_s: float = 0.0) -> ContentScore:
    """What the workers of a job in small see, in chunks of a second."""

    def looked_at(plan: FramePlan) -> FramePlan:
        plan = stretch(plan, start_s, 25) if start_s else plan
        return replace(plan, looks=places_to_look_at(plan, EVERY_S))

    faces = face_job(ProcessorSettings(names=("none",)), (("classifier", classifier),))
    folder = tmp_path / "chunks"
    job = job_for(clip, folder, chunk_seconds=1.0, retimed=looked_at, faces=faces, nsfw_filter=True)
    assert len(job.chunks) > 2
    blocks = blocks_of(job)
    renderer = ChunkRenderer(job.setup)
    futures = [renderer.submit(task_of(job, i), lambda _: blocks) for i in range(len(job.chunks))]
    renderer.close()
    total = ContentScore()
    for i, future in enumerate(futures):
        found = future.result().content
        kept = read_header(folder / f"{i:05d}.chunk").info["content"]
        assert kept == {
            "pictures": found.pictures,
            "worst": found.worst,
            "worst_frame": found.worst_frame,
        }
        total = total.joined(found)
    if not start_s:
        assert shown_md5s(job) == serial_md5s(clip)
    return total


def test_two_seconds_of_a_long_shot_are_enough_to_be_seen(tmp_path: Path, classifier: Path) -> None:
    path = tmp_path / "a.mp4"
    video(path, 9, red=range(43, 43 + 2 * RATE))
    seen = watched(tmp_path, classifier, path)
    assert seen.refused
    assert 43 <= seen.worst_frame < 43 + 2 * RATE


def test_an_innocent_video_passes_and_a_look_changes_no_sample(
    tmp_path: Path, classifier: Path
) -> None:
    path = tmp_path / "a.mp4"
    video(path, 9)
    seen = watched(tmp_path, classifier, path)
    assert not seen.refused
    assert 4 <= seen.pictures <= 6
    assert "highest score 0.0" in seen.note


def test_of_a_preview_only_its_frames_are_looked_at(tmp_path: Path, classifier: Path) -> None:
    path = tmp_path / "a.mp4"
    video(path, 9, red=range(60, 90))
    assert not watched(tmp_path, classifier, path, start_s=1.0).refused
    assert watched(tmp_path, classifier, path, start_s=5.5).refused


def test_scores_add_up_and_what_is_no_number_is_refused() -> None:
    total = ContentScore().with_picture(0.2, 5).with_picture(0.6, 7).with_picture(0.1, 9)
    assert (total.pictures, total.worst, total.worst_frame) == (3, 0.6, 7)
    assert not total.refused
    assert total.with_picture(LIMIT).refused
    assert total.with_picture(float("nan")).refused


def test_sources_of_a_video_are_looked_at_before_it_is(tmp_path: Path, classifier: Path) -> None:
    red, grey = (image(tmp_path / f"{name}.png", c) for name, c in (("red", RED), ("grey", GREY)))
    asked = settings(tmp_path / "a.mp4", classifier, sources=(grey,))
    assert check_source_content(asked).pictures == 1
    with pytest.raises(ContentError, match=r"red\.png"):
        check_source_content(replace(asked, sources=(grey, red)))
    assert check_source_content(replace(asked, nsfw_filter=False)) == ContentScore()


def test_a_missing_source_is_named(tmp_path: Path, classifier: Path) -> None:
    target = image(tmp_path / "a.png", GREY)
    with pytest.raises(InputError, match=r"gone\.png"):
        check_image_content(settings(target, classifier, sources=(tmp_path / "gone.png",)))
