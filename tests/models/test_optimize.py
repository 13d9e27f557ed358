import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.errors import InputError, ModelError, SettingsError
from farm.models import catalogue, trials
from farm.models.catalogue import CatalogueEntry, Download, ModelKind
from farm.models.derived import OptimizeReport, Precision, read_report, report_path, write_report
from farm.models.hashes import sha256_of
from farm.models.optimize import OptimizeSettings, model_to_optimize, optimize, optimize_lines
from farm.models.samples import built_in_samples
from farm.models.store import ModelFile, ModelStore
from tests.model_maker import draw_face, make_arcface, make_painter, make_yunet

INT8 = OptimizeSettings(precision=Precision.INT8)
FP16 = OptimizeSettings(precision=Precision.FP16)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """A store that knows one swap model, which is here, and a detector, which is here too."""
    entries = (
        _entry(ModelKind.SWAPPER, make_painter(tmp_path / "swap.onnx")),
        _entry(ModelKind.DETECTOR, make_yunet(tmp_path / "yunet.onnx")),
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", entries)
    monkeypatch.setattr("farm.faces.detect.YUNET", entries[1:])
    monkeypatch.setattr("farm.models.optimize.YUNET", entries[1:])
    return ModelStore(models_dir=tmp_path, offline=True)


def _entry(kind: ModelKind, path: Path) -> CatalogueEntry:
    sha256, size_bytes = sha256_of(path), path.stat().st_size
    url = f"https://models.example/{path.name}"
    return CatalogueEntry(
        kind=kind,
        name=path.name,
        licence="non-commercial research only",
        size_bytes=size_bytes,
        sha256=sha256,
        download=Download(url=url, size_bytes=size_bytes, sha256=sha256),
    )


def _own(kind: ModelKind, path: Path) -> ModelFile:
    return ModelFile(
        kind=kind,
        path=path,
        name=path.name,
        sha256=sha256_of(path),
        licence="mine",
        verified=False,
    )


def _made(store: ModelStore, settings: OptimizeSettings = INT8) -> tuple[OptimizeReport, Path]:
    report = optimize(model_to_optimize(store, "swap", None), store, settings)
    return report, store.folder / report.output


@pytest.mark.parametrize("settings", [INT8, FP16], ids=["int8", "fp16"])
def test_a_copy_is_written_with_its_report_beside_it(
    store: ModelStore, settings: OptimizeSettings
) -> None:
    report, copy = _made(store, settings)
    assert copy.name == f"swap.{settings.precision}.onnx"
    assert read_report(copy) == report
    assert (report.output_sha256, report.output_bytes) == (sha256_of(copy), copy.stat().st_size)
    assert (report.source, report.source_verified) == ("swap.onnx", True)
    assert report.source_sha256 == sha256_of(store.folder / "swap.onnx")
    (psnr,) = report.measurements
    assert psnr.name == "psnr_db"
    assert 30 <= psnr.value <= psnr.mean
    assert min(report.source_s, report.output_s, report.speed_up, report.cpu_speed_up) > 0
    assert not list(store.folder.glob(".optimize-*"))
    said = "\n".join(optimize_lines(report, store.folder))
    assert f"--model swapper={copy}" in said
    assert "non-commercial" in said


def test_a_copy_is_taken_in_a_job_under_the_licence_of_its_source(store: ModelStore) -> None:
    _report, copy = _made(store)
    found = replace(store, overrides=(("swapper", copy),)).find("swapper")
    assert (found.name, found.made_from) == ("swap.onnx (int8)", "swap.onnx")
    assert (found.verified, found.is_non_commercial) == (True, True)
    assert found.sha256 == sha256_of(copy)


def test_a_copy_whose_report_does_not_fit_is_not_taken(store: ModelStore) -> None:
    report, copy = _made(store)
    taking = replace(store, overrides=(("swapper", copy),))
    low = replace(report.measurements[0], value=12.0)
    for wrong, reason in (
        (replace(report, output_sha256="0" * 64), "about another file"),
        (replace(report, source_sha256="0" * 64), "made from an unknown model"),
        (replace(report, kind="enhancer"), "about a enhancer"),
        (replace(report, measurements=(low,)), "below their floor"),
        (replace(report, measurements=()), "below their floor"),
    ):
        write_report(report_path(copy), wrong)
        with pytest.raises(ModelError, match=reason):
            taking.find("swapper")
        assert not replace(taking, allow_unverified=True).find("swapper").verified


def test_a_copy_without_its_report_is_an_unknown_file(store: ModelStore) -> None:
    _report, copy = _made(store)
    report_path(copy).unlink()
    with pytest.raises(ModelError, match="--allow-unverified-models"):
        replace(store, overrides=(("swapper", copy),)).find("swapper")


def test_a_damaged_report_is_said(store: ModelStore) -> None:
    _report, copy = _made(store)
    document = json.loads(report_path(copy).read_text())
    del document["measurements"]
    report_path(copy).write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"onnx\.json is not a report that can be read"):
        replace(store, overrides=(("swapper", copy),)).find("swapper")
    trusting = replace(store, overrides=(("swapper", copy),), allow_unverified=True)
    assert not trusting.find("swapper").verified


def test_below_the_floor_nothing_is_written(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "MIN_PSNR_DB", 90.0)
    with pytest.raises(ModelError, match=r"no int8 copy.*good enough.*psnr_db.*at least 90"):
        _made(store)
    assert not list(store.folder.glob("*int8*"))
    assert not list(store.folder.glob(".optimize-*"))


def test_an_output_that_is_there_needs_leave_and_the_source_is_never_written(
    store: ModelStore,
) -> None:
    _made(store, FP16)
    with pytest.raises(InputError, match=r"there already.*--overwrite"):
        _made(store, FP16)
    _made(store, replace(FP16, overwrite=True))
    source = store.folder / "swap.onnx"
    with pytest.raises(InputError, match="is the source itself"):
        _made(store, replace(FP16, output=source, overwrite=True))


def test_recognizers_are_judged_by_the_angle_between_embeddings(
    store: ModelStore, tmp_path: Path
) -> None:
    file = _own(ModelKind.RECOGNIZER, make_arcface(tmp_path / "face.onnx"))
    report = optimize(file, store, FP16)
    assert report.measurements[0].name == "cosine"
    assert report.measurements[0].value > 0.999
    assert not report.source_verified


def test_detectors_are_judged_on_the_users_images(store: ModelStore, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    picture = np.full((320, 320, 3), 60, np.uint8)
    draw_face(picture, (100, 90, 180, 170))
    cv2.imwrite(str(faces / "one.png"), picture)
    settings = replace(FP16, calibrate=(faces,))
    report = optimize(model_to_optimize(store, "yunet", None), store, settings)
    assert [each.name for each in report.measurements] == ["iou", "score_change"]
    assert (report.samples, report.samples_from) == (1, str(faces))


def test_of_many_given_images_some_are_only_compared_on(store: ModelStore, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for i in range(6):
        picture = np.full((320, 320, 3), 60 + 20 * i, np.uint8)
        draw_face(picture, (100, 90, 180, 170))
        cv2.imwrite(str(faces / f"{i}.png"), picture)
    report, _copy = _made(store, replace(INT8, calibrate=(faces,)))
    assert (report.calibration_samples, report.samples) == (4, 2)
    (faces / "0.png").unlink()
    report, _copy = _made(store, replace(INT8, calibrate=(faces,), overwrite=True))
    assert (report.calibration_samples, report.samples) == (5, 5)


def test_images_without_a_face_or_a_path_that_is_not_there_are_said(
    store: ModelStore, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="none of the 1 images"):
        _made(store, replace(INT8, calibrate=(tmp_path / "empty.png",)))
    with pytest.raises(SettingsError, match="no such file or folder"):
        _made(store, replace(INT8, calibrate=(tmp_path / "gone",)))


def test_a_file_of_ones_own_says_its_kind_and_needs_leave(
    store: ModelStore, tmp_path: Path
) -> None:
    path = str(make_painter(tmp_path / "own.onnx", seed=5))
    with pytest.raises(ModelError, match="say what it does with --kind"):
        model_to_optimize(store, path, None)
    with pytest.raises(ModelError, match="--allow-unverified-models"):
        model_to_optimize(store, path, "swapper")
    trusting = replace(store, allow_unverified=True)
    assert model_to_optimize(trusting, path, "swapper").kind is ModelKind.SWAPPER
    with pytest.raises(SettingsError, match="did you mean 'swapper'"):
        model_to_optimize(trusting, path, "swaper")
    with pytest.raises(SettingsError, match=r"did you mean 'swap\.onnx'"):
        model_to_optimize(store, "swap.onx", None)


def test_a_known_file_is_not_taken_for_another_kind(store: ModelStore) -> None:
    path = str(store.folder / "swap.onnx")
    assert model_to_optimize(store, path, "swapper").kind is ModelKind.SWAPPER
    with pytest.raises(SettingsError, match=r"--kind recognizer: .* is known here, as a swapper"):
        model_to_optimize(store, path, "recognizer")


def test_kinds_that_cannot_be_judged_are_said(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a parser, of which no copy can be judged"):
        optimize(_own(ModelKind.PARSER, make_painter(tmp_path / "p.onnx")), store, INT8)


def test_the_built_in_faces_vary_and_are_the_same_for_the_same_seed() -> None:
    first, again = built_in_samples(4, seed=3), built_in_samples(4, seed=3)
    for ours, theirs in zip(first, again, strict=True):
        assert np.array_equal(ours.picture.pixels_bgr, theirs.picture.pixels_bgr)
        points = ours.face.landmarks_xy
        assert points is not None
        assert points[0, 0] < points[1, 0]
        assert points.min() > 0
        assert points.max() < 512
    assert not np.array_equal(first[0].picture.pixels_bgr, first[1].picture.pixels_bgr)
