from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import InputError
from farm.registry import JobRegistry, RegisteredJob


def job(folder: Path, name: str) -> RegisteredJob:
    folder.mkdir(exist_ok=True)
    return RegisteredJob(
        job_id=name, folder=folder, output=Path("/o/out.mp4"), target=Path("/i/in.mp4")
    )


def test_jobs_are_found_again_by_the_beginning_of_their_number(tmp_path: Path) -> None:
    registry = JobRegistry(tmp_path / "state")
    first, second = job(tmp_path / "a", "ab12"), job(tmp_path / "b", "ac34")
    registry.add(first)
    registry.add(second)
    assert JobRegistry(tmp_path / "state").jobs() == [first, second]
    assert registry.find("ac") == second
    with pytest.raises(InputError, match="more than one job"):
        registry.find("a")
    with pytest.raises(InputError, match="no job is known"):
        registry.find("x")


def test_a_job_whose_folder_is_gone_is_forgotten(tmp_path: Path) -> None:
    registry = JobRegistry(tmp_path / "state")
    registry.add(job(tmp_path / "a", "ab12"))
    (tmp_path / "a").rmdir()
    (tmp_path / "state" / "bad.json").write_text("{")
    assert registry.jobs() == []
    assert list((tmp_path / "state").iterdir()) == []


def test_a_state_folder_that_cannot_be_written_costs_no_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    registry = JobRegistry(tmp_path / "file" / "jobs")
    registry.add(job(tmp_path / "a", "ab12"))
    assert registry.jobs() == []


def test_the_users_state_folder_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    JobRegistry().add(job(tmp_path / "a", "ab12"))
    assert (tmp_path / "facefarm" / "jobs" / "ab12.json").is_file()
