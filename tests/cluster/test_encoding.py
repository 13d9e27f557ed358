from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster import encoding
from cluster.encoding import sees_job
from farm.files import mark_folder, unmark_folder
from farm.settings import RenderSettings


def settings_for(folder: Path) -> RenderSettings:
    (folder / "in.mp4").write_bytes(b"12345")
    return RenderSettings(target=folder / "in.mp4", output=folder / "out.mp4")


def test_a_node_that_sees_the_same_files_can_run_the_final_task(tmp_path: Path) -> None:
    source = settings_for(tmp_path).target
    mark = mark_folder(tmp_path)
    assert sees_job(tmp_path, mark, source, 5)
    assert not sees_job(tmp_path, "another secret", source, 5)
    assert not sees_job(tmp_path, mark, source, 6)
    assert not sees_job(tmp_path, mark, tmp_path / "missing.mp4", 5)
    unmark_folder(tmp_path)


def test_nodes_are_asked_whether_they_see_the_job_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(nodes: list[str], work: Any, *arguments: Any) -> list[Any]:
        answers = {"blind": False, "lost": "it is lost", "seeing": work(*arguments)}
        return [answers[node] for node in nodes]

    monkeypatch.setattr(encoding, "ask_nodes", ask)
    nodes = ("home", "blind", "lost", "seeing")
    assert encoding._finals(settings_for(tmp_path), nodes, "home") == {"home", "seeing"}
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_single_node_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "ask_nodes", None)
    assert encoding._finals(settings_for(tmp_path), ("home",), "home") == {"home"}
