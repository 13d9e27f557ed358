from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.scratch import scratch_folder


def test_a_scratch_folder_is_private_and_deleted(tmp_path: Path) -> None:
    with scratch_folder("work-", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "session").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_it_lies_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("work-") as folder:
        assert folder.parent == tmp_path


def test_what_killed_commands_left_is_deleted_and_what_is_in_use_stays(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from farm.scratch import scratch_folder\n"
        "with scratch_folder('work-', pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    (tmp_path / "other").mkdir()
    with scratch_folder("work-", tmp_path) as used:
        assert not left.exists()
        with scratch_folder("work-", tmp_path) as second:
            assert used.exists()
            assert second != used
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_is_cleared_away_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, calls = fcntl.flock, []

    def cleared_first(handle: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            (made,) = tmp_path.iterdir()
            made.rmdir()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", cleared_first)
    with scratch_folder("work-", tmp_path) as folder:
        assert folder.exists()
    assert len(calls) == 2


def test_where_folders_cannot_be_locked_they_are_used_and_none_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(handle: int, operation: int) -> None:
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        scratch_folder("work-", tmp_path) as first,
        scratch_folder("work-", tmp_path) as second,
    ):
        assert first.exists()
        assert second.exists()
