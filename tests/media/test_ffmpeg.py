from __future__ import annotations

from pathlib import Path

import ffmpeg
import pytest

from farm.errors import JobError, SetupError
from farm.media.ffmpeg import ffmpeg_version, file_url, find_ffmpeg, run_ffmpeg


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_one_is_found_and_is_new_enough() -> None:
    assert ffmpeg_version(find_ffmpeg()) >= (5, 0)


def test_an_old_one_is_refused(tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'echo "ffmpeg version 4.4.2-0ubuntu"')
    with pytest.raises(SetupError, match="is ffmpeg 4"):
        find_ffmpeg(old)


def test_one_that_does_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="none does not run"):
        find_ffmpeg(tmp_path / "none")


def test_a_build_without_a_number_counts_as_new(tmp_path: Path) -> None:
    built = script(tmp_path / "git", 'echo "ffmpeg version N-12345-gabcdef"')
    assert find_ffmpeg(built) == built


def test_a_failure_has_exit_code_and_last_lines(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", "for i in 1 2 3 4 5 6; do echo line $i >&2; done; exit 7")
    node = ffmpeg.output(ffmpeg.input("a"), "b")
    with pytest.raises(JobError, match=r"exit code 7\): line 3 \| line 4 \| line 5 \| line 6"):
        run_ffmpeg(node, broken)


def test_options_that_repeat_stand_before_the_output(tmp_path: Path) -> None:
    said = tmp_path / "said"
    spy = script(tmp_path / "spy", f'printf "%s\\n" "$@" > {said}')
    node = ffmpeg.output(ffmpeg.input("a"), "b", c="copy")
    run_ffmpeg(node, spy, ("-metadata", "x=1", "-metadata", "y=2"))
    assert said.read_text().split()[-5:] == ["-metadata", "x=1", "-metadata", "y=2", "b"]


def test_a_name_is_never_taken_for_an_option_or_a_protocol() -> None:
    assert file_url(Path("/x/-a %d.mp4")) == "file:/x/-a %d.mp4"
    assert file_url(Path("-y")).startswith("file:/")
