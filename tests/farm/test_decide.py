from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from farm.decide import FaceDecision, check_processors, decide, licence_notes, upright_size
from farm.errors import InputError, ModelError, SettingsError
from farm.face_settings import AnalysisSettings
from farm.faces.source import TURNED_AWAY_NOTE
from farm.media.index import build_index
from farm.models.catalogue import ModelKind
from farm.models.hashes import sha256_of
from farm.models.store import ModelFile, ModelStore
from farm.settings import ProcessorSettings
from tests.faces.pictures import gray_picture
from tests.media_maker import Studio
from tests.model_maker import (
    draw_face,
    embedding_of,
    make_arcface,
    make_inswapper,
    make_scrfd,
)

SMALL, LARGE = (20, 20, 60, 60), (100, 60, 200, 160)
MAGENTA, CYAN = (255, 0, 255), (255, 255, 0)
Decide = Callable[..., FaceDecision]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames without a face, then a small magenta and a large cyan one."""
    path = tmp_path_factory.mktemp("decide") / "faces.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "bgr0"
        for number in range(14):
            picture = gray_picture(320, 240)
            if number >= 12:
                draw_face(picture, SMALL, "magenta")
                draw_face(picture, LARGE, "cyan")
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format="bgr0", threads=1
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def decided(clip: Path, tmp_path: Path) -> Decide:
    """Decides for the clip, with made models."""
    models = {
        "detector": make_scrfd(tmp_path / "scrfd.onnx"),
        "recognizer": make_arcface(tmp_path / "arcface.onnx"),
        "swapper": make_inswapper(tmp_path / "inswapper.onnx"),
    }

    def call(
        *names: str,
        target: Path = clip,
        sources: tuple[Path, ...] = (),
        without: str = "",
        searched: list[int] | None = None,
        analysis: AnalysisSettings | None = None,
        **changes: Any,
    ) -> FaceDecision:
        store = ModelStore(
            models_dir=tmp_path / "models",
            overrides=tuple((k, v) for k, v in models.items() if k != without),
            allow_unverified=True,
            offline=True,
        )
        settings = ProcessorSettings(names=names, **({"detector": "scrfd"} | changes))
        report = ([] if searched is None else searched).append
        index, asked = build_index(target), analysis or AnalysisSettings()
        return decide(settings, sources, store, "cpu", 1, index, report, analysis=asked)

    return call


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    picture = gray_picture(320, 240)
    draw_face(picture, LARGE, "magenta")
    path = tmp_path / "me.png"
    cv2.imwrite(str(path), picture)
    return path


def test_nothing_is_loaded_where_no_processor_runs(decided: Decide) -> None:
    decision = decided("none", without="detector")
    assert (decision.detector, decision.provider) == ("none", "none")
    assert (decision.model_sha256, decision.alters, decision.private) == ({}, (), False)


def test_the_reference_is_the_largest_face_of_the_first_frame_that_has_one(
    decided: Decide, portrait: Path
) -> None:
    searched: list[int] = []
    decision = decided("face_swapper", sources=(portrait,), searched=searched)
    reference = np.array(decision.job.references[0])
    assert float(reference @ embedding_of(CYAN)) > 0.9
    assert searched == [0, 10]
    assert decision.notes == ()


def test_the_source_is_embedded_once_for_all_workers(decided: Decide, portrait: Path) -> None:
    decision = decided("face_swapper", sources=(portrait,), many_faces=True)
    assert decision.job.references == ()
    assert float(np.array(decision.job.source_embedding) @ embedding_of(MAGENTA)) > 0.9
    assert pickle.loads(pickle.dumps(decision)) == decision


def test_a_source_that_is_turned_away_is_said(
    decided: Decide, portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.faces.source.is_turned_away", lambda face: True)
    decision = decided("face_swapper", sources=(portrait,), many_faces=True)
    assert decision.notes == (f"--source {portrait}: {TURNED_AWAY_NOTE}",)


def test_models_are_named_with_their_hashes_and_the_provider_with_its_full_name(
    decided: Decide, portrait: Path, tmp_path: Path
) -> None:
    decision = decided("face_swapper", sources=(portrait,))
    assert set(decision.model_sha256.values()) == {
        sha256_of(tmp_path / name) for name in ("scrfd.onnx", "arcface.onnx", "inswapper.onnx")
    }
    assert decision.provider == "CPUExecutionProvider"
    assert decision.alters == ("face_swapper",)


def test_a_model_for_non_commercial_use_is_said_and_its_licence_kept(
    decided: Decide, portrait: Path
) -> None:
    assert decided("face_swapper", sources=(portrait,)).model_licence.keys() == {
        "scrfd.onnx",
        "arcface.onnx",
        "inswapper.onnx",
    }
    bound, free = (
        ModelFile(
            kind=ModelKind.SWAPPER,
            path=Path(name),
            name=name,
            sha256="0" * 64,
            licence=licence,
            verified=True,
        )
        for name, licence in (("s.onnx", "non-commercial research only"), ("y.onnx", "MIT"))
    )
    assert licence_notes([bound, free]) == ("for non-commercial use only, by its models: s.onnx",)
    assert licence_notes([free]) == ()


def test_a_video_without_a_face_is_said(
    decided: Decide, portrait: Path, media_studio: Studio
) -> None:
    decision = decided("face_swapper", target=media_studio.path("plain.mp4"), sources=(portrait,))
    assert decision.job.references == ()
    assert decision.notes == ("no frame shows a face: the pictures stay as they are",)


def test_anonymising_is_private_and_looks_for_nobody_in_particular(decided: Decide) -> None:
    decision = decided("none", "face_anonymizer", without="recognizer")
    assert decision.private
    assert decision.alters == ("face_anonymizer",)
    assert decision.job.references == ()


def test_a_detector_that_is_not_fit_for_privacy_is_said(decided: Decide) -> None:
    decision = decided("face_anonymizer", detector="cascade")
    assert (decision.detector, decision.provider) == ("cascade", "none")
    assert "not for privacy" in decision.notes[0].replace("\n", " ")


@pytest.mark.parametrize(
    ("names", "changes", "covered", "filled"),
    [
        (("face_anonymizer",), {}, 5, None),
        (("debug_overlay",), {}, 0, None),
        (("face_anonymizer",), {"fill_gaps": 0}, 0, None),
        (("face_anonymizer",), {"fill_gaps": 9}, 0, 9),
        (("face_anonymizer",), {"detect_every": 3}, 0, 5),
        (("debug_overlay",), {"detect_every": 3}, 0, 0),
    ],
)
def test_short_gaps_are_covered_where_faces_must_not_be_seen(
    decided: Decide,
    names: tuple[str, ...],
    changes: dict[str, int],
    covered: int,
    filled: int | None,
) -> None:
    decision = decided(*names, many_faces=True, analysis=AnalysisSettings(**changes))
    assert decision.job.cover_gaps == covered
    analysis = decision.job.analysis
    assert (None if analysis is None else analysis.fill_gaps) == filled
    assert any("are covered there too" in note for note in decision.notes) == bool(covered)


def test_a_source_without_a_face_is_refused(decided: Decide, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), gray_picture())
    with pytest.raises(InputError, match="shows no face"):
        decided("face_swapper", sources=(empty,))


def test_a_missing_model_and_a_missing_source_are_refused_before_anything_starts(
    decided: Decide, portrait: Path
) -> None:
    with pytest.raises(ModelError):
        decided("face_swapper", sources=(portrait,), without="swapper")
    with pytest.raises(SettingsError, match="give an image with -s/--source"):
        check_processors(ProcessorSettings(names=("face_swapper",)), ())


@pytest.mark.parametrize(("name", "size"), [("plain.mp4", (160, 96)), ("rot90.mp4", (96, 160))])
def test_the_upright_size_is_what_a_player_shows(
    media_studio: Studio, name: str, size: tuple[int, int]
) -> None:
    assert upright_size(build_index(media_studio.path(name))) == size
