from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.errors import SettingsError
from farm.face_settings import AnalysisSettings, FaceSelector, SelectionSettings
from farm.settings import ProcessorSettings, RenderSettings

IMAGE = Path("them.png")


@pytest.mark.parametrize(
    "selection",
    [
        {"selector": FaceSelector.ONE},
        {"reference_faces": (IMAGE,)},
        {"reference_at": 1.0},
        {"map_faces": IMAGE},
    ],
)
def test_many_faces_and_some_people_are_not_both_taken(selection: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"target": Path("a.mp4"), "output": Path("b.mp4")}
    everybody = ProcessorSettings(names=("face_swapper",), many_faces=True)
    many = SelectionSettings(selector=FaceSelector.MANY)
    assert RenderSettings(**fields, processors=everybody, selection=many).processors.many_faces
    with pytest.raises(SettingsError, match="--many-faces: works on everybody"):
        RenderSettings(**fields, processors=everybody, selection=SelectionSettings(**selection))


def test_without_a_word_one_person_is_meant_and_nothing_is_analysed_before() -> None:
    assert SelectionSettings().kind is FaceSelector.ONE
    assert not SelectionSettings().needs_table
    assert not AnalysisSettings().is_asked
    assert SelectionSettings(distance=0.25).least_likeness == 0.75


def test_a_reference_needs_no_selector_and_a_place_in_time_needs_the_table() -> None:
    by_image = SelectionSettings(reference_faces=(IMAGE,))
    assert (by_image.kind, by_image.needs_table) == (FaceSelector.REFERENCE, False)
    by_place = SelectionSettings(reference_at=2.0)
    assert (by_place.kind, by_place.needs_table) == (FaceSelector.REFERENCE, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selector": FaceSelector.REFERENCE}, "give --reference-face IMAGE or --reference-at"),
        ({"reference_faces": (IMAGE,), "reference_at": 1.0}, "not both"),
        ({"selector": FaceSelector.MANY, "reference_at": 1.0}, "takes no reference"),
        ({"map_faces": IMAGE, "reference_at": 1.0}, "leave the other selectors out"),
        ({"map_faces": IMAGE, "selector": FaceSelector.ONE}, "leave the other selectors out"),
        ({"distance": 2.5}, "--reference-distance 2.5"),
        ({"reference_number": 0}, "--reference-number 0"),
    ],
)
def test_selectors_that_contradict_each_other_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        SelectionSettings(**changes)


@pytest.mark.parametrize("changes", [{"detect_every": 31}, {"fill_gaps": -1}])
def test_numbers_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="must be between"):
        AnalysisSettings(**changes)


def test_a_table_comes_with_its_own_detection() -> None:
    with pytest.raises(SettingsError, match="to `facefarm analyze`"):
        RenderSettings(
            target=Path("a.mp4"),
            output=Path("b.mp4"),
            selection=SelectionSettings(faces=Path("faces.json")),
            analysis=AnalysisSettings(detect_every=5),
        )
