from __future__ import annotations

from pathlib import Path

import pytest

from farm.config import check_variables, read_config
from farm.errors import InputError, SettingsError
from farm.options import OptionKind

KNOWN = {
    "video_quality": OptionKind.INTEGER,
    "chunk_seconds": OptionKind.NUMBER,
    "keep_audio": OptionKind.FLAG,
    "detector": OptionKind.TEXT,
    "job_dir": OptionKind.PATH,
    "source": OptionKind.PATHS,
    "frame_processor": OptionKind.TEXTS,
    "max_memory": OptionKind.SIZE,
    "model": OptionKind.PAIRS,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "facefarm.toml"


def test_all_kinds_of_values_are_read(config: Path) -> None:
    config.write_text(
        "video-quality = 20\nchunk_seconds = 2\nkeep-audio = false\ndetector = 'scrfd'\n"
        "frame-processor = 'none'\nmax-memory = 2.5\n[model]\nswapper = 's.onnx'\n"
    )
    assert read_config(config, KNOWN) == {
        "video_quality": 20,
        "chunk_seconds": 2,
        "keep_audio": False,
        "detector": "scrfd",
        "frame_processor": ["none"],
        "max_memory": 2.5,
        "model": [f"swapper={config.parent / 's.onnx'}"],
    }


def test_relative_paths_start_at_the_folder_of_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    config.write_text("job-dir = 'job'\nsource = ['a.jpg', '/b.jpg', '~/c.jpg']\n")
    assert read_config(config, KNOWN) == {
        "job_dir": str(config.parent / "job"),
        "source": [str(config.parent / "a.jpg"), "/b.jpg", "/home/someone/c.jpg"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n\nvideo-qualty = 3",
            r"line 3: no option is called 'video-qualty'; did you mean 'video-q",
        ),
        ('"detectr" = "a"', r"line 1: no option is called 'detectr'; did you mean 'detector'"),
        ("[modle]\nswapper = 'a'", "line 1: no option is called 'modle'; did you mean 'model'"),
        ("# x\nvideo-quality = 'good'", "line 2: video-quality must be a whole number, not 'good'"),
        ("video-quality = 1.5", "must be a whole number"),
        ("video-quality = true", "must be a whole number"),
        ("keep-audio = 1", "must be true or false"),
        ("source = [1]", "must be a path or a list of paths"),
        ("model = 'swapper'", "must be a table of KIND = PATH"),
        ("video-quality 20", "is no valid TOML"),
    ],
)
def test_wrong_keys_and_values_say_line_and_remedy(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_config(config, KNOWN)


def test_a_file_that_is_not_there_is_refused(config: Path) -> None:
    with pytest.raises(InputError, match="cannot read this configuration file"):
        read_config(config, KNOWN)


def test_only_variables_of_options_are_allowed() -> None:
    check_variables({"FACEFARM_VIDEO_QUALITY": "3", "PATH": "/bin", "MY_FACEFARM_X": "1"}, KNOWN)
    with pytest.raises(SettingsError, match=r"FACEFARM_DETECTR names no option.*FACEFARM_DETECTOR"):
        check_variables({"FACEFARM_DETECTR": "x"}, KNOWN)
