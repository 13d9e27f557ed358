from __future__ import annotations

import pytest

from farm.errors import SettingsError
from farm.names import nearest, require_known, unknown_name


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("FACE_SWAPER", ["face_swapper", "face_enhancer"]) == "face_swapper"


def test_nothing_near_is_none() -> None:
    assert nearest("zzz", ["face_swapper"]) is None
    assert "did you mean" not in unknown_name("--detector", "zzz", ["scrfd"]).message


def test_a_known_name_passes_and_an_unknown_one_lists_all() -> None:
    require_known("--detector", "scrfd", ("auto", "scrfd"))
    with pytest.raises(
        SettingsError, match=r"'scrf' is unknown; did you mean 'scrfd'\? there is: auto"
    ):
        require_known("--detector", "scrf", ("auto", "scrfd"))
