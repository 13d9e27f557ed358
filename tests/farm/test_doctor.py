from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from farm import doctor
from farm.doctor import Finding, State, doctor_lines, examine, is_fit
from farm.errors import ProviderError
from farm.manifest import to_jsonable
from farm.models import session
from farm.models.catalogue import CATALOGUE


class Usage(NamedTuple):
    free: int


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    return examine(tmp_path_factory.mktemp("models"))


def test_every_section_is_looked_at(findings: list[Finding]) -> None:
    sections = list(dict.fromkeys(finding.section for finding in findings))
    assert sections == [
        "python",
        "packages",
        "ffmpeg",
        "providers",
        "encoders",
        "machine",
        "gpu",
        "models",
        "tuning",
    ]


def test_the_cpu_runs_a_network_and_software_encoders_encode(findings: list[Finding]) -> None:
    states = {(f.section, f.name): f.state for f in findings}
    assert states["providers", "cpu"] is State.OK
    for encoder in ("libx264", "libx265", "libvpx-vp9", "ffv1"):
        assert states["encoders", encoder] is State.OK


def test_all_that_is_broken_says_how_to_mend_it(findings: list[Finding]) -> None:
    assert all(f.mend for f in findings if f.state is State.BROKEN)


def test_missing_models_say_where_to_put_them(findings: list[Finding]) -> None:
    models = [f for f in findings if f.section == "models"]
    assert len(models) == len(CATALOGUE)
    for finding, entry in zip(models, CATALOGUE, strict=True):
        assert finding.state is State.ABSENT
        assert entry.name.rsplit("/", 1)[-1] in finding.mend
        assert entry.download.url in finding.mend


def test_a_model_of_another_size_is_told_from_a_missing_one(tmp_path: Path) -> None:
    entry = CATALOGUE[0]
    place = tmp_path.joinpath(*entry.name.split("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"half a model")
    finding = next(iter(doctor._models(tmp_path)))
    assert finding.value == "has another size"
    assert f"delete {place}" in finding.mend


def test_findings_become_json_and_lines() -> None:
    found = [
        Finding(section="gpu", name="nvidia", state=State.ABSENT, value="none"),
        Finding(section="gpu", name="driver", state=State.BROKEN, value="old", mend="update it"),
    ]
    assert to_jsonable(found)[1]["state"] == "broken"
    assert doctor_lines(found) == [
        "gpu",
        "  - nvidia: none",
        "  ! driver: old",
        "      mend: update it",
    ]
    assert is_fit(found[:1])
    assert not is_fit(found)


def test_without_any_ffmpeg_the_bundled_one_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(doctor, "_bundled_ffmpeg", lambda: None)
    bundled, system = doctor._ffmpeg()
    assert (bundled.state, system.state) == (State.BROKEN, State.ABSENT)
    assert "imageio-ffmpeg" in bundled.mend


def test_a_provider_that_does_not_load_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(asked: str | None) -> str:
        if asked == "cuda":
            raise ProviderError("no driver")
        return "cpu"

    monkeypatch.setattr(session, "available_providers", lambda: ("cuda", "cpu"))
    monkeypatch.setattr(session, "choose_provider", refuse)
    states = {f.name: (f.state, f.mend) for f in doctor._providers()}
    assert states["cuda"] == (State.ABSENT, "no driver")
    assert states["cpu"] == (State.OK, "")


def test_two_onnxruntimes_are_told_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "environment_conflicts", lambda: ["A and B clash: run `mend`"])
    conflict = next(f for f in doctor._python() if f.name == "conflict")
    assert (conflict.state, conflict.value, conflict.mend) == (
        State.BROKEN,
        "A and B clash",
        "run `mend`",
    )


def test_a_full_disk_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(free=1 << 20))
    assert [f.state for f in doctor._machine() if f.name == "disk here"] == [State.BROKEN]


def test_gpus_are_listed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    answer = "GPU one, 24576 MiB, 570.1\nGPU two, 24576 MiB, 570.1\n"
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, answer, "")
    )
    assert [f.name for f in doctor._gpus()] == ["nvidia 0", "nvidia 1"]
