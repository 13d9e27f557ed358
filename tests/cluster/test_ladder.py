"""The ladder in whole renders: workers are objects of this process, so that encoders can break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.finisher import Finisher
from actors.nodes import NodeNews
from actors.pool import WorkerPool
from cluster.inventory import Inventory
from cluster.render import render_video
from farm.errors import EncoderError, SetupError
from farm.media.final import FinishReport, FinishRequest
from farm.observer import NullObserver
from farm.report import RenderReport
from farm.settings import EncodeOn, EncoderSettings, RenderSettings
from tests.actors.fake_ray import NODE, FakeRay
from tests.media.broken_encoders import dying, going_green, pretend_hardware
from tests.media_maker import Studio, stamps_of
from tests.rendering import NOTHING
from tests.scheduler.offers import node

TRIAL = 6
"""Frames that an encoder is given before the job."""


class Watcher(NullObserver):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.encoders: list[str] = []
        self.done = 0

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        self.encoders.append(encoder)
        self.done = 0

    def frames_done(self, count: int) -> None:
        self.done += count

    def note(self, message: str) -> None:
        self.notes.append(message)

    @property
    def said(self) -> str:
        return "\n".join(self.notes)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray of threads."""
    ray = FakeRay()
    for module in (
        "actors.run",
        "actors.crew",
        "actors.trials",
        "cluster.chunk_run",
        "cluster.crew",
    ):
        monkeypatch.setattr(f"{module}.ray", ray)
    monkeypatch.setattr("cluster.chunk_run.store_bytes", lambda: 1 << 30)
    pool = partial(WorkerPool, nodes=NodeNews, room=lambda _: True)
    monkeypatch.setattr("cluster.crew.WorkerPool", pool)
    monkeypatch.setattr("cluster.render.RemoteFinisher", FinisherHere)
    yield SimpleNamespace(
        inventory=lambda _: Inventory(offers=(replace(node(cores=2), node_id=NODE),)),
        is_private=True,
        nodes=lambda: (NODE,),
        home=NODE,
    )
    ray.close()


class FinisherHere:
    """The final task in this process."""

    def __init__(self, request: FinishRequest, node: str | None) -> None:
        on_final = request.encode_on is EncodeOn.FINAL
        self._actor = Finisher(request.whole_order if on_final else None)
        self._request = request

    def __enter__(self) -> FinisherHere:
        return self

    def __exit__(self, *_: object) -> None:
        self._actor.stop()

    def chunk_done(self, chunk_index: int) -> None:
        self._actor.feed(chunk_index, self._request.chunk_paths[chunk_index])

    def run(self, progress: Any) -> FinishReport:
        return self._actor.finish(self._request)


class Unplugged(FinisherHere):
    """Dies when all chunks are rendered."""

    def run(self, progress: Any) -> FinishReport:
        raise KeyboardInterrupt


@pytest.fixture
def clip(media_studio: Studio) -> Path:
    return media_studio.path("plain.mp4")


def render(
    runtime: Any, clip: Path, output: Path, watcher: Watcher | None = None, **more: Any
) -> RenderReport:
    values: dict[str, Any] = {"processors": NOTHING, "workers": 2, "chunk_seconds": 0.2} | more
    settings = RenderSettings(target=clip, output=output, overwrite=True, **values)
    return render_video(settings, watcher or Watcher(), runtime=runtime)


@pytest.fixture
def software(runtime: Any, clip: Path, tmp_path: Path) -> RenderReport:
    """What the job gives where nothing but software is allowed."""
    output = tmp_path / "software.mp4"
    return render(runtime, clip, output, encoding=EncoderSettings(hardware=False))


def test_a_machine_without_devices_falls_down_to_software_and_says_why(
    runtime: Any, clip: Path, tmp_path: Path, software: RenderReport
) -> None:
    watcher = Watcher()
    report = render(runtime, clip, tmp_path / "out.mp4", watcher)
    assert report.encoder == "libx264"
    assert report.output_sha256 == software.output_sha256
    for name in ("h264_nvenc", "h264_amf", "h264_qsv"):
        assert f"{name} (cannot encode" in watcher.said


def test_hardware_that_works_takes_the_place_of_software(
    runtime: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_hardware(monkeypatch)
    report = render(runtime, clip, tmp_path / "out.mp4")
    assert report.encoder == "h264_nvenc"
    assert stamps_of(tmp_path / "out.mp4") == stamps_of(clip)


@pytest.mark.parametrize("fault", [dying, going_green])
@pytest.mark.parametrize("encode_on", [EncodeOn.WORKER, EncodeOn.FINAL])
def test_an_encoder_that_breaks_in_mid_job_is_replaced_and_no_frame_is_lost(
    runtime: Any,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
    encode_on: EncodeOn,
) -> None:
    pretend_hardware(monkeypatch, fault=fault(TRIAL + 20))
    watcher, output = Watcher(), tmp_path / "out.mp4"
    report = render(runtime, clip, output, watcher, encode_on=encode_on)
    assert report.encoder == "libx264"
    assert watcher.encoders == ["h264_nvenc", "libx264"]
    assert "h264_nvenc broke" in watcher.said
    assert stamps_of(output) == stamps_of(clip)
    assert watcher.done == report.frames
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_chunks_that_are_lossless_survive_the_change_bit_for_bit(
    runtime: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Any = {"encode_on": EncodeOn.FINAL, "encoding": EncoderSettings(hardware=False)}
    plain = render(runtime, clip, tmp_path / "plain.mp4", **options)
    pretend_hardware(monkeypatch, fault=dying(TRIAL + 10))
    changed = render(runtime, clip, tmp_path / "out.mp4", encode_on=EncodeOn.FINAL)
    assert changed.output_sha256 == plain.output_sha256


def test_finished_chunks_are_encoded_again_and_not_rendered_again(
    runtime: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    from farm.media.decode import ChunkDecoder

    decode = ChunkDecoder.decode

    def counted(self: ChunkDecoder, request: Any, blocks: Any) -> Any:
        decoded.extend(request.wanted)
        return decode(self, request, blocks)

    monkeypatch.setattr(ChunkDecoder, "decode", counted)
    pretend_hardware(monkeypatch, fault=dying(TRIAL + 30))
    report = render(runtime, clip, tmp_path / "out.mp4", workers=1)
    assert {decoded.count(number) for number in range(30)} == {1}
    assert len(set(decoded)) == report.frames


def test_the_next_run_does_not_begin_with_an_encoder_that_broke(
    runtime: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_hardware(monkeypatch, fault=dying(TRIAL + 20))
    monkeypatch.setattr("cluster.render.RemoteFinisher", Unplugged)
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        render(runtime, clip, output)
    monkeypatch.setattr("cluster.chunk_run.store_bytes", lambda: 1 << 30)
    pool = partial(WorkerPool, nodes=NodeNews, room=lambda _: True)
    monkeypatch.setattr("cluster.crew.WorkerPool", pool)
    monkeypatch.setattr("cluster.render.RemoteFinisher", FinisherHere)
    pretend_hardware(monkeypatch)
    watcher = Watcher()
    report = render(runtime, clip, output, watcher)
    assert report.encoder == "libx264"
    assert watcher.encoders == ["libx264"]
    assert "chunks were finished before" in watcher.said


def test_an_encoder_that_is_named_is_not_replaced(
    runtime: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(SetupError, match="no encoder works: h264_amf"):
        render(runtime, clip, output, video_encoder="h264_amf")
    pretend_hardware(monkeypatch, fault=dying(TRIAL + 20))
    with pytest.raises(EncoderError, match="the driver is gone"):
        render(runtime, clip, output, video_encoder="h264_nvenc")
    assert not output.exists()


def test_a_rate_is_spent_by_one_encoder_and_shows_the_same_frames(
    runtime: Any, clip: Path, tmp_path: Path
) -> None:
    encoding = EncoderSettings(bitrate="300k", two_pass=True)
    watcher, output = Watcher(), tmp_path / "out.mp4"
    report = render(runtime, clip, output, watcher, encoding=encoding)
    assert (report.encoder, stamps_of(output)) == ("libx264", stamps_of(clip))
