"""The command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _python_cli(*arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **extra)


def test_a_checkout_runs_as_python_cli_py_from_any_folder(tmp_path: Path) -> None:
    done = _python_cli("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("facefarm ")


def test_an_error_is_the_same_one_line_from_a_real_process(tmp_path: Path) -> None:
    done = _python_cli(
        "render", "-t", "no.mp4", "-o", "o.mp4", "--frame-processor", "none", cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == "facefarm: error: no.mp4: there is no such file (-t/--target)\n"
    assert list(tmp_path.iterdir()) == []


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, cli\n"
        "heavy = {'ray', 'av', 'cv2', 'onnxruntime', 'insightface', 'numpy', 'rich'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
