"""The files of `cluster/deploy`, each held against a tool that knows its format."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "cluster" / "deploy"
MANIFESTS = ("raycluster.yaml", "rayjob.yaml")
UNITS = ("facefarm-head.service", "facefarm-worker.service")
KUBERNETES = "1.33"


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def cluster_spec(name: str) -> Any:
    spec = load(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def groups(name: str) -> Iterator[Any]:
    spec = cluster_spec(name)
    yield spec["headGroupSpec"]
    yield from spec["workerGroupSpecs"]


def test_the_launchers_file_fits_rays_own_schema() -> None:
    schema = Path(ray.__file__).with_name("autoscaler") / "ray-schema.json"
    config = load("ray-cluster.yaml")
    jsonschema.validate(config, json.loads(schema.read_text()))
    config["provider"] = "local"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, json.loads(schema.read_text()))


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_pods_of_a_manifest_fit_the_schema_of_kubernetes(name: str) -> None:
    import kubernetes_validate

    for group in groups(name):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod"},
            "spec": group["template"]["spec"],
        }
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        pod["spec"] = pod["spec"] | {"containres": []}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_asks_for_a_token_and_for_the_ray_that_is_pinned(name: str) -> None:
    spec = cluster_spec(name)
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["rayVersion"] == metadata.version("ray")
    assert load(name)["apiVersion"] == "ray.io/v1"


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_run_without_privileges_and_with_bounds(name: str) -> None:
    for group in groups(name):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["resources"]["limits"] == container["resources"]["requests"]


def test_the_job_of_a_manifest_is_a_command_that_there_is() -> None:
    import click

    import cli

    _, *words = load("rayjob.yaml")["spec"]["entrypoint"].split()
    command = cli.main.commands[words[0]]
    context = click.Context(command, info_name=words[0], obj=cli.Output())
    command.parse_args(context, words[1:])
    assert context.params["address"] == "auto"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_in_a_unit(name: str, tmp_path: Path) -> None:
    ray_program = Path(sys.executable).with_name("ray")
    text = (DEPLOY / name).read_text().replace("/opt/facefarm/.venv/bin/ray", str(ray_program))
    (tmp_path / name).write_text(text)
    assert verify_unit(tmp_path / name) == []
    (tmp_path / name).write_text(text.replace("Restart=on-failure", "Restart=perhaps"))
    assert verify_unit(tmp_path / name) != []


def verify_unit(unit: Path) -> list[str]:
    """What systemd says of a unit itself; other units of this machine do not count."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stderr.splitlines() if unit.name in line]


def test_the_image_passes_the_dockerfile_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "--no-color", str(DEPLOY / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_built_from_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    for name in re.findall(r"requirements/(\w+)\.txt", text):
        assert (ROOT / "requirements" / f"{name}.txt").is_file()
    for runtime in ("cpu", "gpu"):
        pins = (ROOT / "requirements" / f"{runtime}.txt").read_text()
        assert re.search(r"^opencv-python==", pins, re.MULTILINE)
