from __future__ import annotations

import json
from pathlib import Path

import pytest

from farm.errors import JobError
from farm.fault_settings import FaultSettings, OnChunkError
from farm.settings import (
    EncodeOn,
    EncoderSettings,
    ProcessorSettings,
    RenderSettings,
    ShapeSettings,
)
from farm.stored_settings import restore_settings, store_settings

FULL = RenderSettings(
    target=Path("/i/in.mp4"),
    output=Path("/o/out.mp4"),
    sources=(Path("/s/a.png"), Path("/s/b.png")),
    processors=ProcessorSettings(names=("face_swapper", "face_enhancer"), many_faces=True),
    shape=ShapeSettings(scale="640x360"),
    encoding=EncoderSettings(preset="slow", options=("aq-mode=3",)),
    faults=FaultSettings(attempts=5, on_chunk_error=OnChunkError.KEEP),
    encode_on=EncodeOn.FINAL,
    models=(("swapper", Path("/m/s.onnx")),),
    chunk_seconds=2,
    max_memory_bytes=1 << 30,
)


@pytest.mark.parametrize(
    "settings", [FULL, RenderSettings(target=Path("/i/in.mp4"), output=Path("/o/out.mp4"))]
)
def test_settings_come_back_from_json_as_they_were(settings: RenderSettings) -> None:
    stored = json.loads(json.dumps(store_settings(settings)))
    assert restore_settings(stored) == settings


def test_paths_are_stored_so_that_they_hold_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = store_settings(RenderSettings(target=Path("in.mp4"), output=Path("out.mp4")))
    assert restore_settings(stored).target == tmp_path / "in.mp4"


def test_settings_of_a_version_with_other_options_are_refused() -> None:
    stored = store_settings(FULL) | {"no_longer_known": 1}
    with pytest.raises(JobError, match="stored by another version"):
        restore_settings(stored)
