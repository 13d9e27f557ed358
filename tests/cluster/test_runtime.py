from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.runtime import RayRuntime, _private_folder
from farm.errors import ClusterError
from farm.node.facts import Questions


@pytest.mark.ray
def test_the_local_ray_has_room_for_all_workers(runtime: RayRuntime) -> None:
    inventory = runtime.inventory(Questions(providers=("cpu",), encoders=("libx264",)))
    (offer,) = inventory.offers
    assert offer.facts.cores == len(os.sched_getaffinity(0))
    assert offer.slots >= 5
    assert offer.facts.working_providers == ("cpu",)
    assert offer.facts.encoder("libx264").works
    assert (offer.facts.problem, inventory.notes) == ("", ())
    known: Any = ray
    assert known.cluster_resources()["CPU"] >= 5
    assert len(known.nodes()) == 1


@pytest.mark.ray
def test_the_local_ray_lets_in_nobody_without_its_token(runtime: RayRuntime) -> None:
    del runtime
    code = "import ray, sys; ray.init(sys.argv[1])"
    variables = {name: value for name, value in os.environ.items() if "AUTH" not in name}
    address = ray.get_runtime_context().gcs_address
    stranger = subprocess.run(
        [sys.executable, "-c", code, address],
        env={**variables, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True,
        text=True,
        check=False,
    )
    assert stranger.returncode != 0
    assert "uthenticat" in stranger.stderr


@pytest.mark.ray
def test_a_failure_that_nobody_asks_for_any_more_is_not_printed(
    runtime: RayRuntime, capfd: pytest.CaptureFixture[str]
) -> None:
    del runtime
    taken_out: Any = ray.remote(_TakenOut)
    worker = taken_out.remote()
    refs = [worker.fail.remote(), worker.answer.remote()]
    ray.get(refs.pop())
    refs.clear()
    ray.get(worker.answer.remote())
    assert "Unhandled" not in capfd.readouterr().err


class _TakenOut:
    """A worker that failed, and whose failure is not read."""

    def fail(self) -> None:
        raise ValueError("of a worker that was taken out")

    def answer(self) -> None:
        """Say that all before is done."""


@pytest.mark.ray
def test_a_second_ray_in_one_process_is_refused(runtime: RayRuntime) -> None:
    del runtime
    with pytest.raises(ClusterError, match="uses Ray already"), RayRuntime(None, 1):
        pass


def test_a_long_folder_name_is_not_used_since_sockets_have_short_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with _private_folder() as folder:
        assert len(str(folder.parent)) < 40
