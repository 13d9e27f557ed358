"""Renders on a cluster of two nodes that share neither a disk nor models with the driver."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.render import render_video
from cluster.runtime import RayRuntime
from farm.observer import NullObserver
from farm.settings import ProcessorSettings, RenderSettings
from tests.cluster.command import temporary_folder
from tests.cluster.nodes import cluster_of, facefarm
from tests.media_maker import Studio
from tests.model_maker import make_scrfd

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """A cluster, and where each of its nodes keeps what it was sent."""

    address: str
    caches: tuple[Path, Path]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    caches = (tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second"))
    nodes = [{"num_cpus": 1, "env_vars": {"XDG_CACHE_HOME": str(cache)}} for cache in caches]
    nodes[1]["num_gpus"] = 4
    with temporary_folder() as folder, cluster_of(nodes, folder) as address:
        yield Farm(address=address, caches=caches)


def test_workers_need_no_shared_disk_and_no_models_and_the_output_is_the_same(
    farm: Farm, runtime: RayRuntime, media_studio: Studio, tmp_path: Path
) -> None:
    source, model = media_studio.path("plain.mp4"), make_scrfd(tmp_path / "scrfd.onnx")
    alone, spread = tmp_path / "alone.mp4", tmp_path / "spread.mp4"
    settings = RenderSettings(
        target=source,
        output=alone,
        processors=ProcessorSettings(names=("face_anonymizer",), detector="scrfd"),
        models=(("detector", model),),
        allow_unverified_models=True,
        video_quality=0,
        chunk_seconds=0.5,
        keep_frames=True,
    )
    render_video(settings, NullObserver(), runtime=runtime)
    done = subprocess.run(
        [
            sys.executable,
            Path(__file__).with_name("driver.py"),
            farm.address,
            source,
            spread,
            model,
        ],
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(worker["frames"] for worker in report["workers"]) == report["frames"] == 60
    assert spread.read_bytes() == alone.read_bytes()
    assert frames(spread) == frames(alone)
    assert len(frames(spread)) == 60
    kept = sha256(model)
    for cache in farm.caches:
        assert [p.name for p in (cache / "facefarm" / "shipped" / "by-hash").iterdir()] == [kept]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"scrfd.onnx", "alone.mp4", "spread.mp4", "alone-frames", "spread-frames"}


@pytest.mark.long
def test_the_inventory_of_a_cluster_lists_each_node(farm: Farm) -> None:
    done = facefarm("nodes", "--address", farm.address, "--json")
    assert done.returncode == 0, done.stderr
    offers = json.loads(done.stdout)["nodes"]
    assert sorted((offer["slots"], offer["gpus"]) for offer in offers) == [(1.0, 0.0), (1.0, 4.0)]
    assert len({offer["node_id"] for offer in offers}) == 2
    assert all("cpu" in json.dumps(offer["facts"]["providers"]) for offer in offers)


@pytest.mark.long
def test_a_gpu_that_nobody_has_is_refused_with_each_nodes_reason(
    farm: Farm, media_studio: Studio, tmp_path: Path
) -> None:
    model = make_scrfd(tmp_path / "scrfd.onnx")
    done = facefarm(
        *("render", "-t", media_studio.path("plain.mp4"), "-o", tmp_path / "out.mp4"),
        *("--frame-processor", "face_anonymizer", "--detector", "scrfd"),
        *("--model", f"detector={model}", "--allow-unverified-models"),
        *("--address", farm.address, "--execution-provider", "openvino"),
    )
    assert done.returncode == 3, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if "error:" in x]
    assert line.count("is left out") == 2
    assert "--execution-provider openvino: no node can use it" in line
    assert not (tmp_path / "out.mp4").exists()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frames(output: Path) -> dict[str, str]:
    folder = output.with_name(f"{output.stem}-frames")
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}
