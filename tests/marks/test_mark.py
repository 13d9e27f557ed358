from __future__ import annotations

import pytest

from farm.marks.mark import DigitalSource, Mark, mark_in


@pytest.mark.parametrize(
    ("names", "source"),
    [
        ((), None),
        (("face_anonymizer",), DigitalSource.ALGORITHMICALLY_ENHANCED),
        (("face_swapper",), DigitalSource.COMPOSITE_WITH_TRAINED),
        (("face_enhancer",), DigitalSource.COMPOSITE_WITH_TRAINED),
        (("face_anonymizer", "face_enhancer"), DigitalSource.COMPOSITE_WITH_TRAINED),
        (("somebody_elses",), DigitalSource.COMPOSITE_WITH_TRAINED),
    ],
)
def test_the_source_type_says_the_most_that_a_processor_does(
    names: tuple[str, ...], source: DigitalSource | None
) -> None:
    assert Mark(altered_by=names).digital_source == source


def test_a_mark_is_found_in_the_text_that_it_makes() -> None:
    mark = Mark(altered_by=("face_swapper", "face_enhancer"))
    assert mark_in(f"holiday, day 2; {mark.text}") == mark
    assert mark_in("holiday, day 2") == Mark()


def test_marks_of_several_renders_add_up() -> None:
    first, second = Mark(altered_by=("face_swapper",)), Mark(altered_by=("face_enhancer",))
    assert second.after(first) == Mark(altered_by=("face_swapper", "face_enhancer"))
    assert second.after(second) == second
    assert mark_in(f"{first.text}; {second.text}") == second.after(first)
