from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.bench.scale import ScaleRow, scale_lines, scale_plot, tiny_clip
from farm.bench.waiting import WAIT_NAME, WAIT_VARIABLE, Waiting
from farm.media.index import IndexClass, build_index
from farm.processors import registry
from farm.processors.registry import load_processor, processor_names
from tests.faces.pictures import gray_picture
from tests.processors.contexts import face_frame


def row(**changes: Any) -> ScaleRow:
    fields: dict[str, Any] = {
        "name": "4 workers",
        "workers": 4,
        "chunks": 8,
        "frames": 800,
        "wall_s": 10.0,
        "ideal_s": 8.0,
        "driver_cpu_s": 0.4,
        "memory_bytes": 1 << 30,
        "up_s": 1.0,
    }
    return ScaleRow(**(fields | changes))


def test_what_is_not_waiting_is_overhead_of_the_chunks() -> None:
    assert row().efficiency == 0.8
    assert row().overhead_ms == pytest.approx(1000)  # 4 workers for 2 s more, over 8 chunks
    assert row().driver_ms == pytest.approx(50)
    assert "| 4 | 8 | 800 | 10.00 | 80.0% | 1000 | 50.0 |" in scale_lines([row()])[2]
    assert "polyline" in scale_plot([row(workers=1), row()], 40)


def test_the_clip_can_be_cut_where_each_chunk_begins(tmp_path: Path) -> None:
    index = build_index(tiny_clip(tmp_path / "tiny.mp4", 12, 4))
    assert index.index_class is IndexClass.TRUSTED
    assert index.keyframes.nonzero()[0].tolist() == [0, 4, 8]


def test_the_processor_waits_for_each_frame_and_touches_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setenv(WAIT_VARIABLE, "0.25")
    monkeypatch.setattr("farm.bench.waiting.time.sleep", slept.append)
    processor = load_processor(WAIT_NAME)
    assert isinstance(processor, Waiting)
    processor.process([face_frame(gray_picture())] * 3)
    assert slept == [0.75]


def test_nobody_is_offered_the_waiting_processor() -> None:
    assert WAIT_NAME in registry._UNLISTED
    assert WAIT_NAME not in processor_names()
