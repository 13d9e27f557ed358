"""The wheel, the pinned requirement files and the scripts hold what they promise."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from farm.processors.registry import load_processor

ROOT = Path(__file__).resolve().parent.parent
FILES = ("cpu", "gpu", "dev", "c2pa", "cluster", "storage")
ADDED = ("dev", "c2pa", "cluster", "storage")
"""Files that are installed beside cpu.txt or gpu.txt."""

PACKAGES = {"farm", "actors", "scheduler", "cluster"}
DELIBERATELY_LEFT_OUT = {"gpu": {"onnxruntime"}}
"""What a pinned package asks for and must not get, by requirement file."""

USED_WITHOUT_AN_IMPORT = {"scikit-image", "insightface"}
"""The demo reads the portrait in scikit-image's folder; `doctor` loads insightface by its name."""


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _lines(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def _pins(name: str) -> dict[str, str]:
    return {canonicalize_name(k): v for k, v in (line.split("==") for line in _lines(name))}


def _needs(requirements: list[str]) -> Iterator[Requirement]:
    """Requirements that apply to the platform of the pinned files, without extras."""
    environment = {"sys_platform": "linux", "platform_machine": "x86_64", "extra": ""}
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def _imports(path: Path) -> set[str]:
    """Top-level modules that a source file imports, the standard library left out."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", FILES)
def test_requirement_lines_are_exact_pins_without_addresses_or_hashes(name: str) -> None:
    for line in _lines(name):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


@pytest.mark.parametrize("name", FILES)
def test_no_package_is_pinned_twice(name: str) -> None:
    assert len(_pins(name)) == len(_lines(name))


@pytest.mark.parametrize(("name", "runtime"), [("cpu", "onnxruntime"), ("gpu", "onnxruntime-gpu")])
def test_an_environment_gets_one_onnxruntime_and_one_cv2(name: str, runtime: str) -> None:
    pins = _pins(name)
    assert [pin for pin in pins if pin.startswith("onnxruntime")] == [runtime]
    assert [pin for pin in pins if pin.startswith("opencv")] == ["opencv-python"]
    assert not any(pin.startswith(("onnxruntime", "opencv")) for pin in _pins("dev"))


def test_cpu_and_gpu_environments_differ_in_the_runtime_only() -> None:
    cpu, gpu = _pins("cpu"), _pins("gpu")
    assert cpu.pop("onnxruntime") == gpu.pop("onnxruntime-gpu")
    nvidia = {name for name in gpu.keys() - cpu.keys() if name.startswith("nvidia-")}
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-cuda-runtime"} <= nvidia
    assert cpu == {name: version for name, version in gpu.items() if name not in nvidia}


@pytest.mark.parametrize("name", ADDED)
def test_pins_that_add_to_the_others_repeat_nothing(name: str) -> None:
    assert not _pins(name).keys() & (_pins("cpu").keys() | _pins("gpu").keys())


@pytest.mark.parametrize("name", FILES)
def test_everything_that_a_pinned_package_needs_is_pinned_too(name: str) -> None:
    pins = _pins("cpu") | _pins(name) if name in ADDED else _pins(name)
    missing = set()
    for package in pins:
        try:
            requirements = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue  # another environment's package (NVIDIA's, or development tools)
        for need in _needs(requirements):
            pin = pins.get(canonicalize_name(need.name))
            if pin is None or not need.specifier.contains(pin):
                missing.add(canonicalize_name(need.name))
    assert missing == DELIBERATELY_LEFT_OUT.get(name, set())


def test_the_gpu_pins_satisfy_every_direct_dependency() -> None:
    pins = _pins("gpu")
    for need in _needs(_project()["project"]["dependencies"]):
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), need


@pytest.mark.parametrize(
    ("platform", "machine", "runtime"),
    [
        ("linux", "x86_64", "onnxruntime-gpu"),
        ("win32", "AMD64", "onnxruntime-gpu"),
        ("linux", "aarch64", "onnxruntime"),
        ("darwin", "arm64", "onnxruntime"),
    ],
)
def test_each_platform_is_asked_for_one_runtime(platform: str, machine: str, runtime: str) -> None:
    environment = {"sys_platform": platform, "platform_machine": machine}
    wanted = [
        need.name
        for need in map(Requirement, _project()["project"]["dependencies"])
        if need.marker is not None and need.marker.evaluate(environment)
    ]
    assert wanted == [runtime]


def test_every_direct_dependency_has_its_reason_in_the_docs() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    project = _project()
    named = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    assert [line for line in named if f"`{Requirement(line).name}`" not in reasons] == []


def test_the_wheel_holds_the_packages_and_the_command_line_and_no_tests(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (built,) = wheel.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == PACKAGES | {"cli.py"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    sources = {str(p.relative_to(ROOT)) for name in PACKAGES for p in (ROOT / name).rglob("*.py")}
    assert sources <= set(names)


def test_no_other_package_stands_at_the_top_level() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == PACKAGES | {"tests"}
    assert [path.name for path in ROOT.glob("*.py")] == ["cli.py"]


def test_every_processor_entry_point_loads_and_has_its_name() -> None:
    group = _project()["project"]["entry-points"]["facefarm.processors"]
    for name, value in group.items():
        processor = metadata.EntryPoint(name, value, "facefarm.processors").load()
        assert processor.name == name
        assert type(load_processor(name)) is processor


def test_the_console_script_loads() -> None:
    value = _project()["project"]["scripts"]["facefarm"]
    assert callable(metadata.EntryPoint("facefarm", value, "console_scripts").load())


def test_imports_point_down() -> None:
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_leaves_ray_and_media_to_the_packages_below() -> None:
    assert _imports(ROOT / "cli.py") <= PACKAGES | {"click", "rich"}


def test_the_libraries_that_are_imported_are_the_direct_dependencies() -> None:
    paths = [ROOT / "cli.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
    modules = {module for path in paths for module in _imports(path)} - PACKAGES
    distributions = metadata.packages_distributions()
    used = {canonicalize_name(distributions[module][0]) for module in modules}
    named = [need.name for need in map(Requirement, _project()["project"]["dependencies"])]
    runtimes = {"onnxruntime", "onnxruntime-gpu"}
    assert used - runtimes == {*map(canonicalize_name, named)} - runtimes - USED_WITHOUT_AN_IMPORT


def test_scripts_are_executable_and_parse() -> None:
    scripts = [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]
    shell = [path for path in scripts if path.read_text().startswith("#!/usr/bin/env bash")]
    assert len(shell) >= 6
    for path in scripts:
        assert os.access(path, os.X_OK), path
    for path in shell:
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_long_run_knows_every_marker_that_the_fast_one_leaves_out() -> None:
    options = _project()["tool"]["pytest"]["ini_options"]
    left_out = set(re.findall(r"\w+", options["addopts"].split("not (")[1])) - {"or"}
    script = (ROOT / "scripts" / "test").read_text()
    assert left_out == {line.split(":")[0] for line in options["markers"]} - {"ray"}
    assert [marker for marker in left_out if not re.search(rf"\b{marker}\b", script)] == []


def test_the_runner_calls_the_test_command_of_the_readme() -> None:
    assert "\nscripts/test\n" in (ROOT / "README.md").read_text()
    assert "\nscripts/test <" in (ROOT / ".ci" / "run").read_text()
