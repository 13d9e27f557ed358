"""Workers and drivers that are killed while a clip is analysed; the face table stays the same."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.analyze import analyze_video
from cluster.runtime import RayRuntime
from farm.analyze_settings import AnalyzeSettings, LookSettings
from farm.face_settings import AnalysisSettings
from farm.observer import NullObserver
from farm.report import Stage
from tests.cluster.command import Command, temporary_folder
from tests.faces.moving import swaying, textured_pictures, write_clip
from tests.model_maker import make_scrfd

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(300)]

FRAMES = 360
SEGMENT = 12
"""Frames of the shortest chunk of an analysis."""


class Watcher(NullObserver):
    """Notes how many frames were looked at each time that it is told; may kill a worker then."""

    def __init__(self, kills_at: int | None = None) -> None:
        self.looked: list[int] = []
        self.killed = 0
        self._kills_at = kills_at

    def stage(self, stage: Stage, detail: str = "") -> None:
        words = detail.split()
        if stage is not Stage.ANALYSE or "frame" not in words:
            return
        self.looked.append(int(words[words.index("frame") + 1]))
        if self._kills_at is not None and self.looked[-1] >= self._kills_at and not self.killed:
            self._kill()

    def _kill(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("ray::ChunkWork"):
                    process.send_signal(signal.SIGKILL)
                    self.killed = process.pid
                    return


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis")
    make_scrfd(folder / "scrfd.onnx", batch=True)
    return write_clip(folder / "clip.mkv", textured_pictures(FRAMES, {"magenta": swaying}))


@pytest.fixture
def temporary() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


def _analyze(runtime: RayRuntime, clip: Path, output: Path, watcher: Watcher) -> str:
    look = LookSettings(
        detector="scrfd",
        models=(("detector", clip.with_name("scrfd.onnx")),),
        allow_unverified_models=True,
        chunk_seconds=0.48,
        workers=2,
    )
    asked = AnalyzeSettings(
        target=clip, output=output, look=look, analysis=AnalysisSettings(detect_every=3)
    )
    report = analyze_video(asked, watcher, runtime=runtime)
    assert (report.faces, report.tracks) == (FRAMES, 1)
    return output.read_text()


@pytest.fixture(scope="module")
def expected(runtime: RayRuntime, clip: Path) -> str:
    """The table of an analysis that nothing disturbs."""
    return _analyze(runtime, clip, clip.with_name("expected.json"), Watcher())


def test_a_worker_that_is_killed_while_it_looks_changes_no_face(
    runtime: RayRuntime, clip: Path, expected: str, tmp_path: Path
) -> None:
    watcher = Watcher(kills_at=FRAMES // 4)
    assert _analyze(runtime, clip, tmp_path / "faces.json", watcher) == expected
    assert watcher.killed
    assert watcher.looked[-1] == FRAMES


def test_an_analysis_whose_driver_is_killed_goes_on_from_what_it_saw(
    runtime: RayRuntime, clip: Path, expected: str, tmp_path: Path, temporary: Path
) -> None:
    output = tmp_path / "faces.json"
    options = ("--detector", "scrfd", "--model", f"detector={clip.with_name('scrfd.onnx')}")
    more = ("--allow-unverified-models", "--chunk-seconds", "0.48", "--detect-every", "3")
    asked = ("analyze", clip, "-o", output, *options, *more, "--workers", "2")
    command = Command(clip, output, temporary, asked)

    def kept() -> list[Path]:
        return sorted(command.job_dir.glob("*.faces"))

    command.wait_until(lambda: len(kept()) >= 3)
    command.process.kill()
    command.result()
    psutil.wait_procs(command.family(), timeout=30)
    assert not output.exists()
    found = len(kept())
    assert found * SEGMENT < FRAMES
    watcher = Watcher()
    assert _analyze(runtime, clip, output, watcher) == expected
    assert watcher.looked[0] > found * SEGMENT
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]
