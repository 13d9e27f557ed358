import hashlib
import os
from pathlib import Path

import pytest

from farm.models import hashes


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_known", {})


def test_a_hash_is_remembered_between_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert hashes.remembered_sha256(path, tmp_path) == expected
    monkeypatch.setattr(hashes, "_known", {})
    monkeypatch.setattr(hashes, "sha256_of", lambda _path: pytest.fail("read again"))
    assert hashes.remembered_sha256(path, tmp_path) == expected


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    first = hashes.remembered_sha256(path, tmp_path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert hashes.remembered_sha256(path, tmp_path) != first


def test_a_damaged_or_missing_memory_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    (tmp_path / hashes.MEMORY_NAME).write_text("{ not json", "utf-8")
    assert hashes.remembered_sha256(path, tmp_path) == hashlib.sha256(b"abc").hexdigest()
    path.write_bytes(b"abcd")
    assert hashes.remembered_sha256(path, tmp_path / "gone")
