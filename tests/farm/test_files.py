from __future__ import annotations

from pathlib import Path

import pytest

from farm.files import LocalFiles, mark_folder, sees_folder, unmark_folder, write_atomically


def test_a_folder_is_known_by_its_mark_and_by_no_other(tmp_path: Path) -> None:
    mark = mark_folder(tmp_path)
    assert sees_folder(tmp_path, mark)
    assert not sees_folder(tmp_path, mark_folder(tmp_path / ".")[:-1])
    assert not sees_folder(tmp_path, mark), "a later mark counts"
    assert not sees_folder(tmp_path / "elsewhere", mark)
    unmark_folder(tmp_path)
    unmark_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    LocalFiles().write(tmp_path / "a", [b"x", b"y"])
    assert (tmp_path / "a").read_bytes() == b"xy"

    def parts() -> list[bytes]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "b", (part for part in parts()))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
