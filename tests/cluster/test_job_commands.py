from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.job_commands import clean_job, list_jobs, resume_job, show_job
from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.errors import InputError, Interrupted, SettingsError
from farm.fault_settings import FaultSettings
from farm.observer import NullObserver
from farm.registry import JobRegistry
from farm.settings import EncoderSettings, RenderSettings
from farm.stop import StopRequest
from scheduler.ledger import Ledger
from tests.media_maker import Studio, serial_frames
from tests.rendering import NOTHING


@pytest.fixture(autouse=True)
def no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def settings_for(target: Path, output: Path, **changes: Any) -> RenderSettings:
    values: dict[str, Any] = {
        "processors": NOTHING,
        "video_quality": 0,
        "workers": 1,
        "encoding": EncoderSettings(hardware=False),
    } | changes
    return RenderSettings(target=target, output=output, **values)


def test_a_job_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job is known"):
        show_job(job="ab12")
    with pytest.raises(InputError, match="holds no job"):
        show_job(job_dir=tmp_path)
    with pytest.raises(InputError, match="name a job"):
        show_job()
    assert list_jobs().lines == ["no jobs are kept"]


class _Lent:
    """A Ray that somebody else ends."""

    def __init__(self, runtime: RayRuntime) -> None:
        self._runtime = runtime

    def __enter__(self) -> RayRuntime:
        return self._runtime

    def __exit__(self, *_: object) -> None:
        pass


class Stopper(NullObserver):
    """Asks for a stop when the first frames are done."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def frames_done(self, count: int) -> None:
        if not self._stop.asked:
            self._stop.press()


@pytest.mark.ray
def test_an_interrupted_job_is_listed_shown_refused_when_it_differs_and_gone_on_with(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, stop = tmp_path / "out.mp4", StopRequest()
    settings = settings_for(media_studio.path("plain.mp4"), output, chunk_seconds=0.1)
    with pytest.raises(Interrupted):
        render_video(settings, Stopper(stop), stop=stop, runtime=runtime)
    (row,) = list_jobs().document["jobs"]
    assert (row["state"], row["output"]) == ("rendering", str(output))
    shown = show_job(job=row["id"][:4]).document
    assert shown["chunks_done"] == row["chunks"] > 0
    assert shown["settings"]["chunk_seconds"] == 0.1
    other = settings_for(settings.target, output, chunk_seconds=0.1, video_quality=20)
    with pytest.raises(SettingsError, match=r"video quality was 0 and is 20.*--replan"):
        render_video(other, NullObserver(), runtime=runtime)
    monkeypatch.setattr("cluster.job.RayRuntime", lambda *_: _Lent(runtime))
    found = resume_job(job=row["id"], observer=NullObserver(), stop=StopRequest()).document
    assert found["report"]["frames"] == 60
    assert (
        sum(worker["chunks"] for worker in found["report"]["workers"]) < found["report"]["chunks"]
    )
    assert [f.md5 for f in serial_frames(output)] == [f.md5 for f in serial_frames(settings.target)]
    assert list_jobs().document == {"jobs": []}
    assert not (tmp_path / ".out.mp4.facefarm").exists()


@pytest.mark.ray
def test_a_kept_job_renders_nothing_again_but_a_chunk_that_was_altered(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    settings = settings_for(
        media_studio.path("plain.mp4"),
        output,
        chunk_seconds=0.5,
        overwrite=True,
        faults=FaultSettings(keep_job=True),
    )
    render_video(settings, NullObserver(), runtime=runtime)
    (job,) = JobRegistry().jobs()
    whole = output.read_bytes()
    chunks = sorted(job.folder.glob("*.chunk"))
    content = bytearray(chunks[1].read_bytes())
    content[-1] ^= 1
    chunks[1].write_bytes(content)
    report = render_video(settings, NullObserver(), runtime=runtime)
    assert sum(worker.chunks for worker in report.workers) == 1
    assert output.read_bytes() == whole
    with Ledger(job.folder) as ledger:
        done = sorted(note.chunk_index for note in ledger.attempts() if note.outcome == "done")
        assert done == sorted([*range(len(chunks)), 1])
        assert ledger.state == "finished"
    clean_job(job=job.job_id)
    assert not job.folder.exists()
    assert output.exists()
