from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farm.errors import ModelError, SettingsError
from farm.process import FaceCounts, FaceStage, load_processors
from farm.processors.base import FaceFrame, ProcessorContext
from farm.settings import AnonymizeMethod, MaskShape, ProcessorSettings
from tests.faces.pictures import frame_of, gray_picture
from tests.model_maker import draw_face, embedding_of, make_arcface, make_scrfd
from tests.rendering import NOTHING, face_job

LEFT, RIGHT = (40, 40, 100, 100), (240, 60, 300, 120)


class Recorder:
    """A processor that notes the faces that it is given."""

    name = "recorder"
    needs_source = False
    needs_landmarks = True
    fails_closed = False

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.boxes: list[list[list[int]]] = []

    def check(self, context: ProcessorContext) -> None:
        pass

    def start(self, context: ProcessorContext) -> None:
        pass

    def process(self, batch: Sequence[FaceFrame]) -> None:
        self.seen += [(len(item.faces), len(item.selected)) for item in batch]
        self.boxes += [
            [face.box_xyxy.round().astype(int).tolist() for face in item.selected] for item in batch
        ]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr("farm.process.load_processors", lambda _names: [made])
    return made


def picture(*faces: tuple[tuple[int, int, int, int], str]) -> Any:
    pixels = gray_picture()
    for box, colour in faces:
        draw_face(pixels, box, colour)
    return frame_of(pixels)


def settings(**changes: Any) -> ProcessorSettings:
    return ProcessorSettings(**({"names": ("recorder",), "detector": "scrfd"} | changes))


def detector(tmp_path: Path) -> tuple[str, Path]:
    return "detector", make_scrfd(tmp_path / "scrfd.onnx", batch=True)


def test_the_stage_is_idle_where_no_processor_changes_anything() -> None:
    stage = FaceStage(face_job(NOTHING), 1)
    assert stage.idle
    assert stage.run([picture()]) == FaceCounts()


def test_every_face_is_counted_and_given_to_the_processors(
    tmp_path: Path, recorder: Recorder
) -> None:
    job = face_job(settings(many_faces=True), (detector(tmp_path),))
    stage = FaceStage(job, 1)
    assert not stage.idle
    frames = [picture((LEFT, "magenta"), (RIGHT, "cyan")), picture(), picture((LEFT, "magenta"))]
    counts = stage.run(frames)
    assert (counts.faces, counts.frames_without_face) == (3, 1)
    assert recorder.seen == [(2, 2), (0, 0), (1, 1)]
    assert counts.detect_s > 0


def test_only_the_person_of_the_reference_is_selected(tmp_path: Path, recorder: Recorder) -> None:
    from dataclasses import replace

    models = (detector(tmp_path), ("recognizer", make_arcface(tmp_path / "arcface.onnx")))
    cyan = tuple(float(v) for v in embedding_of((255, 255, 0)))
    job = replace(face_job(settings(), models), references=(cyan,))
    FaceStage(job, 1).run([picture((LEFT, "magenta"), (RIGHT, "cyan"))])
    assert recorder.seen == [(2, 1)]
    found = np.array(recorder.boxes[0][0])
    assert np.abs(found - np.array(RIGHT)).max() <= 3


def test_nobody_is_selected_without_a_reference(tmp_path: Path, recorder: Recorder) -> None:
    stage = FaceStage(face_job(settings(), (detector(tmp_path),)), 1)
    stage.run([picture((LEFT, "magenta"))])
    assert recorder.seen == [(1, 0)]


def test_the_anonymizer_covers_every_face_of_a_batch(tmp_path: Path) -> None:
    wanted = settings(
        names=("none", "face_anonymizer"),
        anonymize_method=AnonymizeMethod.SOLID,
        anonymize_shape=MaskShape.BOX,
    )
    frames = [picture((LEFT, "magenta"), (RIGHT, "cyan")), picture((RIGHT, "yellow"))]
    FaceStage(face_job(wanted, (detector(tmp_path),)), 1).run(frames)
    for frame, boxes in zip(frames, [(LEFT, RIGHT), (RIGHT,)], strict=True):
        for left, top, right, bottom in boxes:
            assert not frame.to_bgr()[top:bottom, left:right].any()


def test_a_missing_model_is_said_when_the_stage_is_made() -> None:
    with pytest.raises(ModelError):
        FaceStage(face_job(settings(names=("face_anonymizer",))), 1)


def test_an_unknown_processor_is_refused() -> None:
    with pytest.raises(SettingsError, match="face_anonymiser"):
        load_processors(["none", "face_anonymiser"])


def test_with_a_table_the_processors_get_its_rows_and_no_detector_is_loaded(
    recorder: Recorder,
) -> None:
    from dataclasses import replace

    from farm.faces.casting import FrameFaces
    from tests.faces.pictures import face_at

    stage = FaceStage(replace(face_job(settings()), reads_table=True), 1)
    one, other = replace(face_at(LEFT), filled=True), face_at(RIGHT)
    rows = [FrameFaces(faces=(one, other), selected=(other,)), FrameFaces(faces=(), selected=())]
    counts = stage.run([picture(), picture((LEFT, "magenta"))], rows=rows)
    assert (counts.faces, counts.frames_without_face) == (2, 1)
    assert (counts.faces_filled, counts.frames_filled) == (1, 1)
    assert recorder.seen == [(2, 1), (0, 0)]
    assert recorder.boxes == [[list(RIGHT)], []]
    with pytest.raises(ValueError, match="rows of a face table"):
        stage.run([picture()])


def test_the_anonymizer_covers_every_row_of_a_table_that_switches_nothing_off() -> None:
    from dataclasses import replace

    from farm.faces.casting import Casting, CastRows
    from tests.faces.tables import table_of, track_of

    wanted = settings(
        names=("face_anonymizer",),
        anonymize_method=AnonymizeMethod.SOLID,
        anonymize_shape=MaskShape.BOX,
    )
    tracks = track_of(1, [0], [LEFT]), track_of(2, [0], [RIGHT], landmarks=False)
    stage = FaceStage(replace(face_job(wanted), reads_table=True), 1)
    for off in (0, 1, 2):
        frame = picture((LEFT, "magenta"), (RIGHT, "cyan"))
        table = table_of(*(replace(track, on=track.track != off) for track in tracks))
        stage.run([frame], rows=CastRows(table, Casting()).of([0]))
        for number, (left, top, right, bottom) in enumerate((LEFT, RIGHT), 1):
            covered = not frame.to_bgr()[top:bottom, left:right].any()
            assert covered == (number != off)
