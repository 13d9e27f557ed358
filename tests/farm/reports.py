"""Reports for tests of what is made from reports."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.report import Damage, RenderReport, WorkerReport

DAMAGE = Damage(time_s=Fraction(1, 3), frames_lost=2, reason="corrupt packet")


def make_report(**changes: Any) -> RenderReport:
    """A report of 100 frames, changed in some fields."""
    worker = WorkerReport(
        worker="w0",
        node="n0",
        provider="CPUExecutionProvider",
        threads=4,
        chunks=5,
        frames=100,
        peak_memory_bytes=1 << 28,
    )
    fields: dict[str, Any] = {
        "output": Path("out.mp4"),
        "frames": 100,
        "faces": 120,
        "frames_without_face": 1,
        "chunks": 5,
        "encoder": "libx264",
        "pix_fmt": "yuv420p10le",
        "provider": "CPUExecutionProvider",
        "detector": "cascade",
        "stage_s": {"decode": 1.5, "index": 0.25, "total": 65.0},
        "fps": 12.34,
        "peak_memory_bytes": 3 << 29,
        "input_sha256": "1" * 64,
        "output_sha256": "2" * 64,
        "model_sha256": {"swapper": "3" * 64},
        "private": False,
        "workers": (worker,),
        "notes": ("one subtitle stream was left out",),
    }
    return RenderReport(**(fields | changes))
