"""Hardware encoders that break in mid-job, in processes of a real Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors import crew, finisher
from actors.finisher import Finisher
from actors.worker import ChunkWorker
from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.settings import EncodeOn, RenderSettings
from tests.cluster.broken_worker import (
    AFTER_IN_WORKER,
    CrashingEncoderFinisher,
    DyingEncoderFinisher,
    DyingEncoderWorker,
    GreenEncoderFinisher,
    GreenEncoderWorker,
)
from tests.cluster.test_ladder import Watcher
from tests.media.broken_encoders import pretend_hardware
from tests.media_maker import Studio, stamps_of
from tests.rendering import NOTHING

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("worker", [DyingEncoderWorker, GreenEncoderWorker])
def test_an_encoder_that_breaks_in_a_worker_gives_way_and_no_frame_is_lost(
    runtime: RayRuntime,
    media_studio: Studio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worker: type[ChunkWorker],
) -> None:
    pretend_hardware(monkeypatch)
    monkeypatch.setattr(crew, "ChunkWorker", worker)
    clip, output = media_studio.path("plain.mp4"), tmp_path / "out.mp4"
    settings = RenderSettings(
        target=clip, output=output, processors=NOTHING, workers=2, chunk_seconds=0.2
    )
    watcher = Watcher()
    report = render_video(settings, watcher, runtime=runtime)
    assert report.frames > AFTER_IN_WORKER
    assert watcher.encoders == ["h264_nvenc", "libx264"]
    assert "h264_nvenc broke" in watcher.said
    assert stamps_of(output) == stamps_of(clip)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == ["out.mp4"]


@pytest.mark.parametrize(
    ("final_task", "why"),
    [
        (DyingEncoderFinisher, "the driver is gone"),
        pytest.param(
            GreenEncoderFinisher, "frame 12 does not show what it was given", marks=pytest.mark.long
        ),
        (CrashingEncoderFinisher, "the final task's process died while h264_nvenc encoded"),
    ],
)
def test_an_encoder_that_breaks_in_the_final_task_gives_way_and_nothing_is_rendered_again(
    runtime: RayRuntime,
    media_studio: Studio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    final_task: type[Finisher],
    why: str,
) -> None:
    pretend_hardware(monkeypatch)
    monkeypatch.setattr(finisher, "Finisher", final_task)
    clip, output = media_studio.path("plain.mp4"), tmp_path / "out.mp4"
    settings = RenderSettings(
        target=clip,
        output=output,
        processors=NOTHING,
        workers=2,
        chunk_seconds=0.2,
        encode_on=EncodeOn.FINAL,
    )
    watcher = Watcher()
    report = render_video(settings, watcher, runtime=runtime)
    assert watcher.encoders == ["h264_nvenc", "libx264"]
    assert report.encoder == "libx264"
    assert "h264_nvenc broke (" in watcher.said
    assert why in watcher.said
    assert "choose another" not in watcher.said
    assert f"{report.chunks} of {report.chunks} chunks were finished before" in watcher.said
    assert stamps_of(output) == stamps_of(clip)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == ["out.mp4"]
