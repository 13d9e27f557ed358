"""How long index and plan of a long video take, and how much memory the driver needs for them.

    python bench/long_source.py --hours 3 --megabytes 1000

Makes the video here, in MP4, Matroska and MPEG-TS, by writing a short one many times over. Each
container is read in a process of its own, as by a driver. Not for: rendering.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from farm.bench.long_clip import noisy_clip, repeated
from farm.media.plan import plan_frames
from farm.media.reading import IndexReader
from farm.models.hashes import sha256_of
from scheduler.chunks import cut_chunks

_RATE = 30
_SHORT_S = 10
_MIB = 1 << 20


def main() -> None:
    """Make, read, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--megabytes", type=float, default=1000.0)
    parser.add_argument("--folder", type=Path, help="Where the videos are made (2 GB).")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seconds = 3600 * given.hours
    kbits = int(8000 * given.megabytes / seconds)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        short = Path(folder) / "short.mp4"
        noisy_clip(short, size=(640, 360), frames=_SHORT_S * _RATE, rate=_RATE, kbits=kbits)
        times = round(seconds / _SHORT_S)
        found = [_measured(short, Path(folder) / f"long.{kind}", times) for kind in _KINDS]
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    sys.stdout.write(
        "| container | MB | frames | chunks | made s | index s | index s/GB | plan s |"
        " SHA-256 s | driver at its peak MiB | reading process MiB |\n"
    )
    for row in found:
        sys.stdout.write("| " + " | ".join(str(value) for value in row.values()) + " |\n")


_KINDS = ("mp4", "mkv", "ts")


def _measured(short: Path, path: Path, times: int) -> dict[str, Any]:
    """Make a video, read it in a new process, and delete it."""
    _, made_s = _timed(lambda: repeated(short, path, times))
    # Nothing that this process did counts in the peak of the other one.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        row = pool.submit(_read, path, made_s).result()
    path.unlink()
    return row


def _read(path: Path, made_s: float) -> dict[str, Any]:
    """Do what a driver does before it asks anybody to render."""
    reader = IndexReader(path, None)

    def index_all() -> Any:
        reader.check()
        return reader.index()

    index, index_s = _timed(index_all)
    (frames, chunks), plan_s = _timed(
        lambda: (frames := plan_frames(index, None), cut_chunks(index, frames, None))
    )
    _, hash_s = _timed(lambda: sha256_of(path))
    size = path.stat().st_size
    return {
        "container": path.suffix.lstrip("."),
        "megabytes": round(size / 1e6),
        "frames": len(frames),
        "chunks": len(chunks),
        "made_s": round(made_s, 1),
        "index_s": round(index_s, 2),
        "index_s_per_gb": round(index_s / size * 1e9, 2),
        "plan_s": round(plan_s, 2),
        "sha256_s": round(hash_s, 2),
        "driver_mib": _peak_mib(resource.RUSAGE_SELF),
        "reader_mib": _peak_mib(resource.RUSAGE_CHILDREN),
    }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def _peak_mib(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * 1024 // _MIB


if __name__ == "__main__":
    main()
