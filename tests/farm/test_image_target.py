from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm import image_target
from farm.errors import InputError, Interrupted, MediaError
from farm.face_settings import FaceOrder, FaceSelector, SelectionSettings
from farm.faces.source import TURNED_AWAY_NOTE
from farm.image_set import render_images
from farm.image_target import render_image
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import AnonymizeMethod, MaskShape, ProcessorSettings, RenderSettings
from farm.stop import StopRequest
from tests import model_maker

FIRST, SECOND = (20, 20, 84, 84), (120, 40, 152, 72)


def read(path: Path) -> NDArray[Any]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def test_a_source_that_is_turned_away_is_said(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.faces.source.is_turned_away", lambda face: True)
    picture(tmp_path / "in.png", FIRST)
    picture(tmp_path / "me.png", FIRST)
    me = tmp_path / "me.png"
    report, _ = render(tmp_path / "in.png", models, "face_swapper", sources=(me,))
    assert report.notes[0] == f"--source {me}: {TURNED_AWAY_NOTE}"


@pytest.fixture
def models(tmp_path: Path) -> tuple[tuple[str, Path], ...]:
    return (
        ("detector", model_maker.make_scrfd(tmp_path / "scrfd.onnx")),
        ("recognizer", model_maker.make_arcface(tmp_path / "arcface.onnx")),
        ("swapper", model_maker.make_inswapper(tmp_path / "inswapper.onnx")),
    )


def render(
    target: Path, models: tuple[tuple[str, Path], ...], *names: str, **changes: Any
) -> tuple[RenderReport, NDArray[Any]]:
    processors = ProcessorSettings(
        names=names,
        anonymize_method=AnonymizeMethod.SOLID,
        anonymize_shape=MaskShape.BOX,
        anonymize_padding=0.0,
    )
    settings = RenderSettings(
        target=target,
        output=target.with_name(f"out{target.suffix}"),
        processors=processors,
        execution_provider="cpu",
        models=models,
        allow_unverified_models=True,
        **changes,
    )
    return render_image(settings, NullObserver()), read(settings.output)


def picture(path: Path, *boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    pixels = np.full((120, 200, 3), 60, np.uint8)
    for box in boxes:
        model_maker.draw_face(pixels, box)
    cv2.imwrite(str(path), pixels)
    return pixels


def test_faces_are_covered_and_all_else_is_the_same(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    before = picture(tmp_path / "in.png", FIRST)
    report, after = render(tmp_path / "in.png", models, "face_anonymizer")
    left, top, right, bottom = FIRST
    assert not after[top + 2 : bottom - 2, left + 2 : right - 2].any()
    grown = np.ones((120, 200), bool)
    grown[top - 2 : bottom + 2, left - 2 : right + 2] = False
    assert np.array_equal(after[grown], before[grown])
    assert (report.frames, report.faces, report.frames_without_face) == (1, 1, 0)
    assert report.provider == "CPUExecutionProvider"
    assert list(report.model_sha256) == ["scrfd.onnx"]


def test_the_source_person_is_put_in(tmp_path: Path, models: tuple[tuple[str, Path], ...]) -> None:
    picture(tmp_path / "in.png", FIRST)
    picture(tmp_path / "me.png", FIRST)
    report, after = render(
        tmp_path / "in.png", models, "face_swapper", sources=(tmp_path / "me.png",)
    )
    magenta = model_maker.COLOURS_BGR["magenta"]
    colour = model_maker.swap_colour(model_maker.embedding_of(magenta))
    centre = after[(FIRST[1] + FIRST[3]) // 2, (FIRST[0] + FIRST[2]) // 2]
    assert np.abs(centre.astype(int) - colour).max() <= 8
    assert sorted(report.model_sha256) == ["arcface.onnx", "inswapper.onnx", "scrfd.onnx"]


def test_none_changes_nothing_and_needs_no_model(tmp_path: Path) -> None:
    before = picture(tmp_path / "in.png", FIRST)
    report, after = render(tmp_path / "in.png", (), "none")
    assert np.array_equal(after, before)
    assert (report.detector, report.provider, report.model_sha256) == ("none", "none", {})


def test_a_frame_without_a_face_is_counted(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    before = picture(tmp_path / "in.png")
    report, after = render(tmp_path / "in.png", models, "face_anonymizer")
    assert np.array_equal(after, before)
    assert (report.faces, report.frames_without_face) == (0, 1)


def test_sixteen_bits_and_transparency_stay(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    wide = picture(tmp_path / "in.png", FIRST).astype(np.uint16) * 256 + 7
    alpha = np.arange(120 * 200, dtype=np.uint16).reshape(120, 200, 1)
    before = np.concatenate([wide, alpha], axis=2)
    cv2.imwrite(str(tmp_path / "in.png"), before)
    _, after = render(tmp_path / "in.png", models, "face_anonymizer")
    assert after.shape == (120, 200, 4)
    assert after.dtype == np.dtype(np.uint16)
    assert np.array_equal(after[..., 3], before[..., 3])
    assert np.array_equal(after[:, 120:], before[:, 120:])
    assert not after[50, 50, :3].any()


def test_a_file_that_only_says_it_is_an_image_leaves_no_output(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(b"text")
    with pytest.raises(MediaError, match="is no image"):
        render(tmp_path / "in.png", (), "none")
    assert not (tmp_path / "out.png").exists()


def test_a_source_without_a_face_is_refused(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    picture(tmp_path / "in.png", FIRST)
    picture(tmp_path / "me.png")
    with pytest.raises(InputError, match="shows no face"):
        render(tmp_path / "in.png", models, "face_swapper", sources=(tmp_path / "me.png",))
    assert not (tmp_path / "out.png").exists()


def test_the_cascades_are_said_to_be_for_trying_out(tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    report, _ = render(tmp_path / "in.png", (), "face_anonymizer", models_dir=tmp_path)
    assert report.detector == "cascade"
    assert any("not for privacy" in note for note in report.notes)


def test_a_folder_of_images_is_rendered_with_models_loaded_once(
    tmp_path: Path, models: tuple[tuple[str, Path], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in put"
    folder.mkdir()
    for number, suffix in enumerate((".png", ".tif", ".webp")):
        picture(folder / f"{number}{suffix}", FIRST)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    loaded: list[int] = []
    load = image_target._FaceWork._load_detector

    def counted(work: Any) -> Any:
        loaded.append(1)
        return load(work)

    monkeypatch.setattr(image_target._FaceWork, "_load_detector", counted)
    report, done = rendered_set(folder, tmp_path / "out put", models)
    assert (report.frames, report.faces, len(loaded)) == (3, 3, 1)
    assert [path.name for path in done] == ["0.png", "1.tif", "2.webp"]
    assert all(not read(path)[40:60, 40:60].any() for path in done)
    assert [each.frames_lost for each in report.damage] == [1]
    assert "broken.png" in report.damage[0].reason


def test_images_are_numbered_where_the_output_has_a_number(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    for name in ("b.png", "a.png"):
        picture(tmp_path / name, FIRST)
    report, done = rendered_set(tmp_path / "?.png", tmp_path / "o_%03d.png", models)
    assert [path.name for path in done] == ["o_001.png", "o_002.png"]
    assert report.frames == 2


def test_images_are_not_written_over_themselves(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    picture(tmp_path / "a.png", FIRST)
    with pytest.raises(InputError, match="is the input"):
        rendered_set(tmp_path, tmp_path, models)


def test_several_images_need_more_than_one_name(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    picture(tmp_path / "a.png", FIRST)
    with pytest.raises(InputError, match=r"need a folder, or a name with a number"):
        rendered_set(tmp_path / "*.png", tmp_path / "out.png", models)


def test_a_stop_leaves_what_is_written(
    tmp_path: Path, models: tuple[tuple[str, Path], ...]
) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, FIRST)
    stop = StopRequest()
    with pytest.raises(Interrupted, match="1 of 2 images"):
        rendered_set(tmp_path / "?.png", tmp_path / "out", models, stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def rendered_set(
    target: Path,
    output: Path,
    models: tuple[tuple[str, Path], ...],
    stop: StopRequest | None = None,
) -> tuple[RenderReport, list[Path]]:
    """Render several images; with `stop`, Ctrl-C is pressed after the first."""
    processors = ProcessorSettings(
        names=("face_anonymizer",),
        anonymize_method=AnonymizeMethod.SOLID,
        anonymize_shape=MaskShape.BOX,
    )
    settings = RenderSettings(
        target=target,
        output=output,
        processors=processors,
        execution_provider="cpu",
        models=models,
        allow_unverified_models=True,
    )
    done: list[Path] = []

    def finished(mine: RenderSettings, report: RenderReport) -> None:
        done.append(report.output)
        if stop is not None:
            stop.press()

    report = render_images(settings, NullObserver(), finished, stop or StopRequest())
    return report, done


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (SelectionSettings(), [True, False]),
        (SelectionSettings(selector=FaceSelector.MANY), [True, True]),
        (SelectionSettings(order=FaceOrder.RIGHT_TO_LEFT), [False, True]),
        (SelectionSettings(order=FaceOrder.LEFT_TO_RIGHT, reference_number=2), [False, True]),
        (SelectionSettings(reference_number=3), [False, False]),
        ("them.png", [False, True]),
    ],
)
def test_the_face_to_work_on_is_chosen_by_place_or_by_reference(
    tmp_path: Path,
    models: tuple[tuple[str, Path], ...],
    selection: SelectionSettings | str,
    wanted: list[bool],
) -> None:
    pixels = picture(tmp_path / "in.png", FIRST)
    model_maker.draw_face(pixels, SECOND, "cyan")
    cv2.imwrite(str(tmp_path / "in.png"), pixels)
    for name, colour in (("me.png", "yellow"), ("them.png", "cyan")):
        portrait = np.full((120, 200, 3), 60, np.uint8)
        model_maker.draw_face(portrait, FIRST, colour)
        cv2.imwrite(str(tmp_path / name), portrait)
    if isinstance(selection, str):
        selection = SelectionSettings(reference_faces=(tmp_path / selection,), distance=0.5)
    _, after = render(
        tmp_path / "in.png",
        models,
        "face_swapper",
        sources=(tmp_path / "me.png",),
        selection=selection,
    )
    middles = [
        ((top + bottom) // 2, (left + right) // 2) for left, top, right, bottom in (FIRST, SECOND)
    ]
    assert [bool((after[place] != pixels[place]).any()) for place in middles] == wanted
