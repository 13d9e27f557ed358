from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.job_commands import clean_job, list_jobs, rerender_job, resume_job, show_job
from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.errors import FarmError, InputError, Interrupted, SettingsError
from farm.fault_settings import FaultSettings
from farm.observer import NullObserver
from farm.registry import JobRegistry
from farm.settings import EncoderSettings, RenderSettings
from farm.stop import StopRequest
from scheduler.ledger import Ledger
from tests.fidelity import COVERING
from tests.media_maker import Studio, serial_frames
from tests.model_maker import make_scrfd
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


class Lent:
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
    monkeypatch.setattr("cluster.job.RayRuntime", lambda *_: Lent(runtime))
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


@pytest.mark.ray
def test_a_stretch_is_rendered_again_and_the_rest_stays_bit_for_bit(
    runtime: RayRuntime, media_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.job.RayRuntime", lambda *_: Lent(runtime))
    output, model = tmp_path / "out.mp4", make_scrfd(tmp_path / "scrfd.onnx")
    settings = settings_for(
        media_studio.path("faces_some.mp4"),
        output,
        chunk_seconds=12 / 25,
        processors=COVERING,
        models=(("detector", model),),
        allow_unverified_models=True,
        faults=FaultSettings(keep_job=True),
    )
    render_video(settings, NullObserver(), runtime=runtime)
    (job,) = JobRegistry().jobs()
    first = [f.md5 for f in serial_frames(output)]
    stamps = {path.name: path.stat().st_mtime_ns for path in job.folder.glob("*.chunk")}

    def again(where: str, **changes: Any) -> Any:
        spoken: Any = {"observer": NullObserver(), "stop": StopRequest()}
        return rerender_job(job=job.job_id, where=where, changes=changes, **spoken).document

    with pytest.raises(SettingsError, match="the output ends at "):
        again("99-", anonymizer_method="pixelate")
    document = again("1.1-1.2", anonymizer_method="pixelate")
    (stretch,) = document["report"]["other_settings"]
    inside = range(stretch["frame_start"], stretch["frame_stop"])
    assert list(inside) == list(range(24, 36))
    assert stretch["different"] == [
        f"--anonymizer-method was {COVERING.anonymize_method} and is pixelate"
    ]
    second = [f.md5 for f in serial_frames(output)]
    assert [n for n, md5 in enumerate(first) if md5 != second[n]] == list(inside)
    same = {p.name for p in job.folder.glob("*.chunk") if p.stat().st_mtime_ns == stamps[p.name]}
    assert len(same) == len(stamps) - 1
    (worked,) = document["report"]["workers"]
    assert worked["chunks"] == 1

    document = again("1.1-1.2", anonymizer_method=COVERING.anonymize_method.value)
    assert document["report"]["other_settings"] == []
    assert [f.md5 for f in serial_frames(output)] == first

    output.write_bytes(b"somebody else's")
    with pytest.raises(FarmError, match="is there already"):
        again("1.1-1.2", anonymizer_method="pixelate")
    assert output.read_bytes() == b"somebody else's"
