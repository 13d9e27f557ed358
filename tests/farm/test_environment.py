from __future__ import annotations

import pytest

from farm.environment import (
    check_environment,
    explain_import_error,
    installed_version,
    installed_versions,
)
from farm.errors import SetupError


def test_an_environment_with_one_of_each_passes() -> None:
    installed = {"onnxruntime-gpu": "1.31", "opencv-python": "4.14", "numpy": "2.4"}
    check_environment(installed.get)


def test_two_onnxruntimes_are_refused_with_the_commands_that_mend_it() -> None:
    installed = {"onnxruntime": "1.32", "onnxruntime-gpu": "1.31"}
    with pytest.raises(SetupError) as caught:
        check_environment(installed.get)
    assert "pip uninstall -y onnxruntime-gpu onnxruntime`" in caught.value.message
    assert "pip install --no-deps onnxruntime-gpu==1.31`" in caught.value.message


def test_two_cv2_are_refused_too_and_both_clashes_are_said() -> None:
    installed = {
        "opencv-python": "4.14",
        "opencv-python-headless": "4.13",
        "onnxruntime": "1",
        "onnxruntime-directml": "1",
    }
    with pytest.raises(
        SetupError, match=r"onnxruntime==1`; opencv-python and opencv-python-headless"
    ):
        check_environment(installed.get)


def test_versions_are_those_that_are_installed() -> None:
    assert installed_version("no-such-distribution-at-all") is None
    assert installed_versions()["numpy"] == installed_version("numpy")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("libGL.so.1: cannot open shared object file"), "apt-get install libgl1"),
        (ImportError("libgthread-2.0.so.0: cannot open"), "apt-get install libglib2.0-0"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "--no-deps opencv-python`"),
        (ModuleNotFoundError("x", name="imageio_ffmpeg.x"), "--no-deps imageio-ffmpeg`"),
        (ImportError("broken\nin two lines"), "broken in two lines; see `facefarm doctor`"),
    ],
)
def test_an_import_that_fails_says_what_to_install(error: ImportError, said: str) -> None:
    assert said in explain_import_error(error).message
