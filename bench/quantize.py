#!/usr/bin/env python3
"""Measure what fp16 and int8 do to a swap network of inswapper's size, and print a table.

Run it with the Python of the environment: .venv/bin/python bench/quantize.py [--width 0.5]
Not for: judging a real model (`facefarm models optimize`) or testing (nothing is asserted).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from farm.bench.swap_network import make_swap_network
from farm.models.derived import Measurement
from farm.models.entry import ModelKind
from farm.models.hashes import sha256_of
from farm.models.int8 import prepare_int8, write_int8
from farm.models.quantize import write_fp16
from farm.models.samples import built_in_samples
from farm.models.session import SessionSettings, open_session
from farm.models.store import ModelFile
from farm.models.trials import RecordingSession, race, trial_of

_CALIBRATION, _COMPARISON = 12, 8


def main() -> None:
    """Make the network, copy it in every way, compare and race."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--width", type=float, default=1.0, help="share of the channels")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--no-fp16", action="store_true")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="facefarm-bench-") as folder:
        _measure(Path(folder), asked)


def _measure(folder: Path, asked: argparse.Namespace) -> None:
    path = make_swap_network(folder / "swap.onnx", width=asked.width)
    file = ModelFile(
        kind=ModelKind.SWAPPER,
        path=path,
        name=path.name,
        sha256=sha256_of(path),
        licence="none: random weights",
        verified=False,
    )
    trial, comparison = trial_of(file), built_in_samples(_COMPARISON, seed=2)
    settings = SessionSettings(provider="cpu", threads=asked.threads)
    source = RecordingSession(open_session(path, settings))
    expected = trial.work(source, comparison)
    recorder = RecordingSession(source.session)
    trial.work(recorder, built_in_samples(_CALIBRATION, seed=1))
    prepared = prepare_int8(path, recorder.feeds, asked.threads)
    _row("copy", "MB", "fp32 s", "copy s", "times", "CPU times", "worst PSNR", "mean PSNR")
    for name in ("int8-0", "int8-1", "int8-2", "int8-3", *([] if asked.no_fp16 else ["fp16"])):
        copy = folder / f"{name}.onnx"
        if name == "fp16":
            write_fp16(path, copy)
        else:
            write_int8(prepared, copy, float_first=int(name[-1]))
        session = open_session(copy, settings)
        quality: Measurement = trial.compare(expected, trial.work(session, comparison))[0]
        raced = race(source.session, session, source.feeds, asked.runs)
        _row(
            name,
            f"{copy.stat().st_size / 1e6:.0f}",
            f"{raced.source_s:.3f}",
            f"{raced.copy_s:.3f}",
            f"{raced.times_faster:.2f}",
            f"{raced.times_less_cpu:.2f}",
            f"{quality.value:.2f}",
            f"{quality.mean:.2f}",
        )
        copy.unlink()


def _row(*cells: str) -> None:
    sys.stdout.write("".join(cell.rjust(12) for cell in cells) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
