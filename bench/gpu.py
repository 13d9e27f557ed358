#!/usr/bin/env python3
"""Measure a machine's GPU in one call, on a machine that reaches no network.

    python bench/gpu.py --wheels WHEELS -o gpu.json

makes an environment of the wheels in a folder (those of requirements/gpu.txt), runs
`facefarm bench gpu` in it and writes what it found. Without --wheels the Python that runs this
script must have the requirements.
Not for: judging the numbers; nothing is asserted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Install, measure, write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wheels", type=Path, help="folder of wheels to install from")
    options.add_argument("--environment", type=Path, default=Path("gpu-bench-venv"))
    options.add_argument("-o", "--output", type=Path, default=Path("gpu.json"))
    options.add_argument("more", nargs="*", help="options of facefarm bench gpu, behind --")
    asked = options.parse_args()
    python = Path(sys.executable)
    if asked.wheels is not None:
        python = _installed(asked.environment, asked.wheels)
    command = [str(python), str(_ROOT / "cli.py"), "bench", "gpu", "--json", *asked.more]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=False)
    asked.output.write_bytes(done.stdout)
    sys.exit(done.returncode)


def _installed(folder: Path, wheels: Path) -> Path:
    """The Python of an environment with the pinned packages, from wheels alone."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    pins = _ROOT / "requirements" / "gpu.txt"
    pip = [str(python), "-m", "pip", "install", "--no-index", "--no-deps", "--no-cache-dir"]
    subprocess.run([*pip, "--find-links", str(wheels), "-r", str(pins)], check=True)
    return python


if __name__ == "__main__":
    main()
