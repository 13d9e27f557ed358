"""What passes between the command and the first frame in work, on a cluster that runs already.

    python bench/start.py --rounds 5

Starts a cluster of this machine alone, renders the same short clip several times and prints the
median of each part. The first round also sends the code there; it is shown apart. Not for: how fast
frames are rendered.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from farm.bench.long_clip import noisy_clip  # noqa: E402 - found by the line above
from farm.manifest import manifest_path  # noqa: E402

_PORT = 6390
_BEFORE = "Python and imports"


def main() -> None:
    """Start a cluster, render, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor", default="none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ffs-") as folder, _cluster(Path(folder)) as address:
        clip = noisy_clip(Path(folder) / "clip.mp4", size=(640, 360), frames=300, rate=30)
        rounds = [_parts(clip, address, given.processor) for _ in range(given.rounds + 1)]
    first, later = rounds[0], rounds[1:]
    sys.stdout.write("| part | first command, s | later ones, median s |\n|---|---|---|\n")
    for part in first:
        median = statistics.median(each[part] for each in later)
        sys.stdout.write(f"| {part} | {first[part]:.2f} | {median:.2f} |\n")
    total = statistics.median(sum(each.values()) for each in later)
    sys.stdout.write(f"| in all | {sum(first.values()):.2f} | {total:.2f} |\n")


def _parts(clip: Path, address: str, processor: str) -> dict[str, float]:
    """Render once; seconds of each part, in order."""
    output = clip.with_name("out.mp4")
    command = [sys.executable, str(ROOT / "cli.py"), "render", "-t", str(clip), "-o", str(output)]
    command += ["--overwrite", "--frame-processor", processor, "--address", address, "--quiet"]
    began_s = time.time()
    subprocess.run(command, check=True)
    report = json.loads(manifest_path(output).read_text(encoding="utf-8"))["report"]
    return {_BEFORE: report["began_s"] - began_s, **report["start_s"]}


@contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    """A cluster of this machine alone, reached over loopback; its address."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += [f"--port={_PORT}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    command += [f"--temp-dir={folder}/ray", "--num-cpus=4", "--disable-usage-stats"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        try:
            time.sleep(10)  # It says nothing when it is ready; nothing of this is measured.
            yield f"127.0.0.1:{_PORT}"
        finally:
            head.terminate()


if __name__ == "__main__":
    main()
