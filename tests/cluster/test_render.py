from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from av.video.frame import VideoFrame

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.errors import ContentError, Interrupted, MediaError, SettingsError
from farm.observer import NullObserver
from farm.report import Stage
from farm.settings import EncodeOn, RenderSettings
from farm.stop import StopRequest
from scheduler.ledger_tables import LEDGER_NAME
from tests.cluster.command import Command, temporary_folder
from tests.media_maker import Studio, audio_packets, serial_frames, stamps_of
from tests.model_maker import make_classifier
from tests.recipes.studio import X264
from tests.rendering import NOTHING, ONE_FRAME_S

pytestmark = pytest.mark.ray

CHUNKS = 30


class Watcher(NullObserver):
    """Keeps what it is told; does something when frames are done."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done: list[int] = []
        self.stages: list[Stage] = []
        self.on_frames: Any = lambda: None

    def stage(self, stage: Stage, detail: str = "") -> None:
        self.stages.append(stage)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def frames_done(self, count: int) -> None:
        self.done.append(count)
        self.on_frames()


@pytest.fixture(scope="session")
def slow_clip(media_studio: Studio) -> Path:
    """A clip of 90 frames in 30 groups, large enough to be caught while it is rendered."""
    path = media_studio.folder / "slow.mp4"
    raw = media_studio.raw(size=(320, 192), frames=90)
    gops = ("-preset", "ultrafast", "-x264-params", "keyint=3:min-keyint=3:scenecut=0")
    media_studio.ffmpeg("-i", raw, *X264, *gops, path)
    return path


@pytest.fixture(scope="session")
def whole_sha256(
    runtime: RayRuntime, slow_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Hash of what `Command` renders when nobody disturbs it."""
    output = tmp_path_factory.mktemp("whole") / "out.webm"
    render_slowly(runtime, slow_clip, output)
    return sha256(output)


@pytest.fixture
def temporary() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


def render_slowly(runtime: RayRuntime, clip: Path, output: Path, **more: Any) -> Any:
    settings = RenderSettings(
        target=clip,
        output=output,
        processors=NOTHING,
        video_encoder="libvpx-vp9",
        chunk_seconds=0.1,
        workers=2,
    )
    observer = more.pop("observer", NullObserver())
    return render_video(settings, observer, runtime=runtime, **more)


def settings_for(target: Path, output: Path, **changes: Any) -> RenderSettings:
    values: dict[str, Any] = {"processors": NOTHING, "video_quality": 0, "workers": 1} | changes
    return RenderSettings(target=target, output=output, **values)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def chunks_found(notes: Sequence[str]) -> int:
    """How many chunks a run found finished."""
    (note,) = (note for note in notes if note.endswith("were finished before: going on"))
    return int(note.split()[0])


def descendants(name: str) -> list[psutil.Process]:
    """Processes below this one whose name begins so."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith(name):
                found.append(process)
    return found


@pytest.mark.parametrize("refused", [False, True])
def test_workers_look_at_content_and_a_refused_video_leaves_nothing(
    runtime: RayRuntime, tmp_path: Path, refused: bool
) -> None:
    clip = tmp_path / "clip.mkv"
    write_lossless(clip, red_from=40 if refused else 1000)
    output, watcher = tmp_path / "out.mkv", Watcher()
    settings = settings_for(
        clip,
        output,
        chunk_seconds=1.0,
        nsfw_filter=True,
        models=(("classifier", make_classifier(tmp_path / "c.onnx")),),
        allow_unverified_models=True,
    )
    if refused:
        with pytest.raises(ContentError, match=r"clip\.mkv at [45]\.\d s: the content filter"):
            render_video(settings, watcher, runtime=runtime)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.onnx", "clip.mkv"]
    else:
        report = render_video(settings, watcher, runtime=runtime)
        assert any("pictures looked at: 4, " in note for note in report.notes)


def write_lossless(path: Path, red_from: int) -> None:
    """Six seconds of ten grey frames each, red from one on."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(60):
            colour = (0, 0, 255) if number >= red_from else (90, 90, 90)
            frame = VideoFrame.from_ndarray(np.full((64, 96, 3), colour, np.uint8), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_worker_that_is_killed_changes_nothing(
    runtime: RayRuntime,
    slow_clip: Path,
    whole_sha256: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "cluster.runtime")
    watcher = Watcher()

    def kill_one() -> None:
        if len(watcher.done) == 4:
            # One that renders: another may not be up yet.
            descendants("ray::ChunkWorker.render")[0].send_signal(signal.SIGKILL)

    watcher.on_frames = kill_one
    output = tmp_path / "out.webm"
    report = render_slowly(runtime, slow_clip, output, observer=watcher)
    assert sum(watcher.done) == report.frames == 90
    assert len(report.workers) >= 2
    assert sha256(output) == whole_sha256 == report.output_sha256
    assert [path.name for path in tmp_path.iterdir()] == ["out.webm"]
    assert capsys.readouterr() == ("", "")
    assert "Ray: A worker died or was killed" in caplog.text


def test_a_killed_command_goes_on_where_it_was(
    runtime: RayRuntime, slow_clip: Path, whole_sha256: str, tmp_path: Path, temporary: Path
) -> None:
    output = tmp_path / "out.webm"
    command = Command(slow_clip, output, temporary)
    command.wait_until(lambda: len(command.chunks()) >= 3)
    command.process.kill()
    command.result()
    psutil.wait_procs(command.family(), timeout=30)
    assert command.family() == []
    assert not output.exists()
    kept = len(command.chunks())
    report = render_slowly(runtime, slow_clip, output)
    found = chunks_found(report.notes)
    assert kept <= found  # whole files of attempts whose end nobody noted count too
    assert sum(worker.chunks for worker in report.workers) == CHUNKS - found
    assert sha256(output) == whole_sha256
    assert [path.name for path in tmp_path.iterdir()] == ["out.webm"]


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_finished_chunks_leaves_nothing_else_and_names_the_command(
    slow_clip: Path, tmp_path: Path, temporary: Path, presses: int
) -> None:
    output = tmp_path / "out.webm"
    command = Command(slow_clip, output, temporary)
    command.wait_until(lambda: len(command.chunks()) >= 3)
    if presses == 2:
        # Workers that stand still never finish what they have in hand.
        for process in command.family():
            if process.name().startswith("ray::ChunkWork"):
                process.suspend()
    command.press_ctrl_c()
    if presses == 2:
        command.wait_until(lambda: "Ctrl-C again stops at once" in command.said())
        command.press_ctrl_c()
    code, said = command.result()
    assert code == 130, said
    assert "to go on, run: facefarm render" in said
    assert ("chunks are finished and kept" in said) == (presses == 1)
    assert 3 <= len(command.chunks()) < CHUNKS
    assert command.family() == []
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == [command.job_dir.name]
    assert {p.name for p in command.job_dir.iterdir()} - set(command.chunks()) == {LEDGER_NAME}


def test_draining_ends_with_the_chunks_in_hand_and_the_next_run_goes_on(
    runtime: RayRuntime, slow_clip: Path, whole_sha256: str, tmp_path: Path
) -> None:
    stop, watcher, output = StopRequest(), Watcher(), tmp_path / "out.webm"
    watcher.on_frames = lambda: None if stop.asked else stop.press()
    with pytest.raises(Interrupted, match=rf"of {CHUNKS} chunks are finished and kept"):
        render_slowly(runtime, slow_clip, output, observer=watcher, stop=stop)
    assert any("finishing the chunks in hand" in note for note in watcher.notes)
    drained = len(watcher.done)
    again = Watcher()
    report = render_slowly(runtime, slow_clip, output, observer=again)
    assert f"{drained} of {CHUNKS} chunks were finished before: going on" in report.notes
    assert sum(worker.chunks for worker in report.workers) == CHUNKS - drained
    assert sha256(output) == whole_sha256


def test_a_stop_before_any_chunk_leaves_nothing(
    runtime: RayRuntime, slow_clip: Path, tmp_path: Path
) -> None:
    watcher, stop = Watcher(), StopRequest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher, "planned", lambda *_: stop.press())
        with pytest.raises(KeyboardInterrupt):
            render_slowly(runtime, slow_clip, tmp_path / "o.webm", observer=watcher, stop=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_render_leaves_another_ray_on_the_machine_alone(
    media_studio: Studio, tmp_path: Path, temporary: Path
) -> None:
    with temporary_folder() as elsewhere:
        script = (
            "import ray, sys\n"
            f"c = ray.init(address='local', num_cpus=1, include_dashboard=False,"
            f" _temp_dir={str(elsewhere)!r}, log_to_driver=False)\n"
            "actor = ray.remote(type('Other', (), {'pid': lambda self: __import__('os').getpid()}))"
            ".remote()\n"
            "print(c.address_info['gcs_address'], ray.get(actor.pid.remote()), flush=True)\n"
            "sys.stdin.readline()\n"
            "print(len(ray.nodes()), ray.get(actor.pid.remote()), flush=True)\n"
        )
        other = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert other.stdout is not None
        address, pid = other.stdout.readline().split()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_ADDRESS", address)
            command = Command(media_studio.path("no_audio.mp4"), tmp_path / "o.mkv", temporary)
        code, said = command.result()
        assert code == 0, said
        assert command.family() == []
        assert list(temporary.iterdir()) == []
        assert psutil.pid_exists(int(pid))
        out, _ = other.communicate("\n", timeout=60)
        assert out.split() == ["1", pid]


def test_a_render_on_a_given_cluster_joins_it_and_leaves_it_running(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    source, output = media_studio.path("plain.mp4"), tmp_path / "out.mp4"
    watcher = Watcher()
    report = render_video(settings_for(source, output), watcher, runtime=runtime)
    assert report.frames == 60
    assert audio_packets(output) == audio_packets(source)
    assert {Stage.INDEX, Stage.TOTAL, Stage.FINAL, Stage.VERIFY} <= report.stage_s.keys()
    assert watcher.stages[0] is Stage.START


def test_encoding_in_the_final_task_gives_the_same_pictures(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    source, output = media_studio.path("plain.mp4"), tmp_path / "out.mp4"
    settings = settings_for(source, output, encode_on=EncodeOn.FINAL, chunk_seconds=0.5)
    render_video(settings, NullObserver(), runtime=runtime)
    assert [f.md5 for f in serial_frames(output)] == [f.md5 for f in serial_frames(source)]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_preview_shows_the_stretch_that_was_asked_for(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    output = tmp_path / "look.mp4"
    settings = settings_for(media_studio.path("plain.mp4"), output)
    report = render_video(settings, NullObserver(), span=(0.5, 7), runtime=runtime)
    assert report.frames == 7
    assert stamps_of(output) == list(range(14, 21))
    assert [path.name for path in tmp_path.iterdir()] == ["look.mp4"]


def test_the_users_own_files_in_the_job_folder_stay(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    job_dir = tmp_path / "mine"
    job_dir.mkdir()
    (job_dir / "notes.txt").write_text("mine")
    settings = settings_for(
        media_studio.path("one_frame.mp4"), tmp_path / "out.mp4", job_dir=job_dir
    )
    render_video(settings, NullObserver(), runtime=runtime)
    assert [path.name for path in job_dir.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["text.mp4", "size_changes.ts"])
def test_bad_input_leaves_nothing(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, name: str
) -> None:
    settings = settings_for(
        media_studio.path(name), tmp_path / "out.mp4", chunk_seconds=ONE_FRAME_S
    )
    with pytest.raises(MediaError):
        render_video(settings, NullObserver(), runtime=runtime)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_appears_meanwhile_is_kept_and_so_is_the_work(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    output, watcher = tmp_path / "out.mp4", Watcher()
    watcher.on_frames = lambda: output.write_text("mine")
    settings = settings_for(media_studio.path("one_frame.mp4"), output)
    with pytest.raises(SettingsError, match="is there already"):
        render_video(settings, watcher, runtime=runtime)
    assert output.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mp4.facefarm", "out.mp4"]


def test_a_stop_in_the_final_task_leaves_the_chunks_and_nothing_else(
    runtime: RayRuntime, slow_clip: Path, tmp_path: Path
) -> None:
    watcher = Watcher()

    def stage(stage: Stage, detail: str = "") -> None:
        if detail.startswith("encoding"):
            raise KeyboardInterrupt

    settings = settings_for(
        slow_clip, tmp_path / "out.webm", encode_on=EncodeOn.FINAL, video_encoder="libvpx-vp9"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher, "stage", stage)
        with pytest.raises(KeyboardInterrupt):
            render_video(settings, watcher, runtime=runtime)
    assert descendants("ray::Finisher") == []
    assert descendants("ffmpeg") == []
    assert [path.name for path in tmp_path.iterdir()] == [".out.webm.facefarm"]
    again = Watcher()
    render_video(settings, again, runtime=runtime)
    assert any("chunks were finished before" in note for note in again.notes)
    assert [path.name for path in tmp_path.iterdir()] == ["out.webm"]


@pytest.mark.parametrize("name", ["bit_flips.mp4", "truncated.mkv"])
def test_a_damaged_source_is_rendered_as_far_as_it_decodes_and_said(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "out.mp4"
    report = render_video(
        settings_for(media_studio.path(name), output), NullObserver(), runtime=runtime
    )
    assert report.damage
    assert len(serial_frames(output)) == report.frames > 10
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
