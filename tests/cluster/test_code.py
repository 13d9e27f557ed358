from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.code import PACKAGES, is_shipped, stage_code, staged_code

ASK = (
    "import cli, farm, cluster.render, json, sys\n"
    "from importlib import metadata\n"
    "names = [e.name for e in metadata.entry_points(group='facefarm.processors')]\n"
    "print(json.dumps([farm.__file__, metadata.version('facefarm'), names]))\n"
)


def test_the_staged_code_runs_by_itself_as_if_it_were_installed(tmp_path: Path) -> None:
    stage_code(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path / "farm" / "__init__.py") in done.stdout
    assert "face_swapper" in done.stdout
    assert "unknown" not in done.stdout


def test_nothing_but_the_farm_is_staged(tmp_path: Path) -> None:
    stage_code(tmp_path)
    names = {path.name for path in tmp_path.iterdir() if path.suffix != ".dist-info"}
    assert names == {*PACKAGES, "cli.py"}
    assert not list(tmp_path.rglob("*.pyc"))


def test_the_folder_is_deleted_afterwards() -> None:
    with staged_code() as folder:
        assert (folder / "farm").is_dir()
    assert not folder.exists()


def test_a_job_whose_code_was_shipped_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_shipped()
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert is_shipped()
