from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import farm.models.session
from cluster.bench import compare, gpu, pipeline
from farm.bench.sizes import NetworkSize
from farm.errors import InputError, ModelError, ProviderError, SettingsError
from farm.models.session import SessionSettings
from farm.precision import Precision


@pytest.fixture
def warm_clip(tmp_path: Path) -> Path:
    """A short small clip with a warm square on a cold ground."""
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number in range(12):
            picture = np.full((192, 320, 3), (20, 60, 160), np.uint8)
            picture[60:120, 40 + number : 100 + number] = (200, 120, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_the_pipeline_is_measured_against_its_limits(warm_clip: Path) -> None:
    said: list[str] = []
    result = pipeline(network=NetworkSize.TINY, clip=warm_clip, rounds=2, say=said.append)
    document = result.document
    assert (document["frames"], document["rounds"]) == (12, 2)
    serial, piped = document["rows"][:2]
    assert (serial["name"], piped["name"]) == ("CPU, one thread, no pipeline", "CPU, pipeline")
    assert serial["speed_up"] == 1
    for row in document["rows"]:
        for name in ("fps", "ratio_to_decode", "ratio_to_decode_encode", "ratio_to_sessions"):
            assert row[name] > 0
    assert result.lines[0].startswith("| way | fps |")
    assert sum("round 2 of 2" in line for line in said) == len(document["rows"])
    json.dumps(document)


def test_a_clip_without_anything_that_stands_for_a_face_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cold.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        picture = np.full((192, 320, 3), (20, 60, 160), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="warm"):
        pipeline(clip=path, rounds=1, baseline=False, say=lambda _: None)


def test_results_are_compared_and_other_files_refused(tmp_path: Path) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(json.dumps({"rows": [{"name": "x", "fps": 2.0}]}))
    after.write_text(json.dumps({"rows": [{"name": "x", "fps": 3.0}]}))
    assert "+50 %" in compare(before=before, after=after).lines[-1]
    after.write_text("[]")
    with pytest.raises(InputError, match="no rows"):
        compare(before=before, after=after)
    with pytest.raises(InputError, match=r"gone\.json"):
        compare(before=tmp_path / "gone.json", after=before)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.bench.precisions._LEAST_S", 0.0)


@pytest.mark.usefixtures("in_a_hurry")
def test_the_gpu_benchmark_runs_on_a_cpu_with_tiny_networks(warm_clip: Path) -> None:
    said: list[str] = []
    result = gpu(
        network=NetworkSize.TINY,
        clip=warm_clip,
        provider=("cpu",),
        batch=("1", "3"),
        say=said.append,
    )
    document = result.document
    names = [row["name"] for row in document["rows"]]
    assert names[:6] == [
        f"cpu, {precision}, batch {batch}"
        for precision in ("fp32", "tf32", "fp16")
        for batch in (1, 3)
    ]
    assert all(row["fps"] > 0 and not row["problem"] for row in document["rows"][:6])
    assert all(row["stage_s"]["encode"] > 0 for row in document["rows"][:6])
    assert names[6:] == [
        "cpu, NVDEC and NVENC, frames through memory",
        "cpu, NVDEC and NVENC, frames on the device",
    ]
    assert [each["name"] for each in document["decoding"]] == [
        "NVDEC, frames brought to memory",
        "NVDEC, frames on the device",
        "NVDEC, frames on the device, looked at",
    ]
    if not Path("/dev/nvidia0").exists():  # It says how far it came.
        assert all("h264_nvenc" in row["problem"] for row in document["rows"][6:])
        assert "cuda is not here" in document["decoding"][0]["problem"]
        assert all("cuda" in each["problem"] for each in document["decoding"][1:])
    assert all(each["per_second"] > 0 for each in document["networks"])
    assert len(document["networks"]) == 6
    json.dumps(document)


def test_without_a_gpu_its_benchmark_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.bench_gpu.available_providers", lambda: ("cpu",))
    with pytest.raises(ProviderError, match="no GPU to measure"):
        gpu(say=lambda _: None)


def test_a_size_of_a_batch_is_a_number() -> None:
    with pytest.raises(SettingsError, match="--batch many"):
        gpu(batch=("many",), say=lambda _: None)


@pytest.mark.usefixtures("in_a_hurry")
def test_a_way_that_does_not_run_has_a_row_that_says_why(
    warm_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = farm.models.session.open_session

    def refuse(model: Path, settings: SessionSettings) -> Any:
        if settings.precision is Precision.FP16:
            raise ModelError("no fp16 here")
        return opened(model, settings)

    monkeypatch.setattr("farm.bench.precisions.open_session", refuse)
    monkeypatch.setattr("farm.processors.face_swapper.open_session", refuse)
    result = gpu(
        network=NetworkSize.TINY,
        clip=warm_clip,
        provider=("cpu",),
        batch=("1",),
        say=lambda _: None,
    )
    problems = [row["problem"] for row in (*result.document["rows"], *result.document["networks"])]
    assert problems.count("no fp16 here") == 2
    assert problems.count("") == 4
    assert "no fp16 here" in "\n".join(result.lines)
