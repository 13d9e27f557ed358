"""Parts of a cluster of several raylets are killed, frozen, filled; the output stays the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psutil
import pytest

from farm.media.placed import PLACED_NAME
from scheduler.ledger import Ledger
from scheduler.ledger_tables import LEDGER_NAME
from tests.cluster.command import temporary_folder
from tests.cluster.faulty_worker import VARIABLE
from tests.cluster.nodes import cluster_of
from tests.media_maker import Studio
from tests.model_maker import make_scrfd
from tests.recipes.studio import X264

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """A cluster whose workers read their faults from a folder."""

    address: str
    faults: Path
    clip: Path
    model: Path
    whole: bytes
    """What an undisturbed run makes."""


@pytest.fixture(scope="module")
def clip(media_studio: Studio) -> Path:
    """180 frames in 30 groups."""
    path = media_studio.folder / "faults.mp4"
    raw = media_studio.raw(size=(192, 128), frames=180)
    gops = ("-preset", "ultrafast", "-x264-params", "keyint=6:min-keyint=6:scenecut=0")
    media_studio.ffmpeg("-i", raw, *X264, *gops, path)
    return path


@pytest.fixture
def nodes() -> list[dict[str, Any]]:
    """A head for the driver, and one worker on each of two other nodes, one of them to be lost."""
    return [
        {"num_cpus": 0},
        {"num_cpus": 1, "resources": {"steady": 1}},
        {"num_cpus": 1, "resources": {"victim": 1}},
    ]


@pytest.fixture
def farm(
    nodes: list[dict[str, Any]],
    clip: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Farm]:
    faults = tmp_path / "faults"
    faults.mkdir()
    environment = {VARIABLE: str(faults), "PYTHONPATH": str(ROOT)}
    model = make_scrfd(tmp_path / "scrfd.onnx")
    with temporary_folder() as folder, cluster_of(nodes, folder, **environment) as address:
        kept = tmp_path_factory.getbasetemp() / "whole.mp4"
        made = Farm(address=address, faults=faults, clip=clip, model=model, whole=b"")
        if not kept.exists():
            result = Driver(made, tmp_path / "whole" / "out.mp4").result()
            assert result["code"] == 0, result
            shutil.copy(tmp_path / "whole" / "out.mp4", kept)
        yield Farm(address=address, faults=faults, clip=clip, model=model, whole=kept.read_bytes())
        assert workers() == [], "a worker is left on the cluster"


class Driver:
    """A run of `fault_driver` in a process of its own."""

    def __init__(self, farm: Farm, output: Path, **order: Any) -> None:
        output.parent.mkdir(exist_ok=True)
        self.output = output
        self.job_dir = output.with_name(f".{output.name}.facefarm")
        order |= {"target": str(farm.clip), "output": str(output), "model": str(farm.model)}
        variables = os.environ | {"RAY_AUTH_MODE": "disabled", VARIABLE: str(farm.faults)}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `result`
        self.process = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("fault_driver.py"),
                farm.address,
                json.dumps(order),
            ],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def chunks(self) -> dict[str, tuple[int, int]]:
        """Name, inode and time of writing of each finished chunk."""
        found = {}
        for path in self.job_dir.glob("*.chunk"):
            with suppress(FileNotFoundError):
                found[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
        return found

    def wait_until(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < give_up, "it never came to that"
            assert self.process.poll() is None, f"it ended: {self.result()}"
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def said(self) -> str:
        """Everything that it wrote to stderr so far."""
        return os.pread(self._said.fileno(), 1 << 20, 0).decode()

    def result(self) -> dict[str, Any]:
        """Wait for its end: its report or error, and `code`."""
        out, _ = self.process.communicate(timeout=LIMIT_S)
        self._said.seek(0)
        said = self._said.read()
        self._said.close()
        lines = [line for line in out.splitlines() if line.startswith("{")]
        answer = json.loads(lines[-1]) if lines else {"said": out + said}
        return {**answer, "code": self.process.returncode}


def workers() -> list[psutil.Process]:
    """All processes of this user that are chunk workers with faults."""
    return _processes(lambda name, _: name.startswith("ray::FaultyWork"))


def _processes(wanted: Callable[[str, list[str]], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and wanted(line[0] if line else "", line):
                found.append(process)
    return found


def set_fault(farm: Farm, stage: str, chunk: int, action: str, times: int = 1) -> None:
    fault = {"stage": stage, "chunk": chunk, "action": action, "times": times}
    (farm.faults / "fault.json").write_text(json.dumps(fault))


def happened(farm: Farm) -> int:
    return len(list(farm.faults.glob("happened-*")))


def check(farm: Farm, driver: Driver, result: dict[str, Any]) -> None:
    """The output is that of an undisturbed run, no chunk was done twice, nothing is left over."""
    assert result["code"] == 0, result
    assert driver.output.read_bytes() == farm.whole
    with Ledger(driver.job_dir) as ledger:
        notes = ledger.attempts()
        assert ledger.state == "finished"
    done = Counter(note.chunk_index for note in notes if note.outcome == "done")
    assert max(done.values()) == 1
    for number in done:
        story = [note.outcome for note in notes if note.chunk_index == number]
        assert "sent" not in story[story.index("done") :], (number, story)
    names = {path.name for path in driver.job_dir.iterdir()}
    assert names - set(driver.chunks()) == {LEDGER_NAME, PLACED_NAME}
    assert {path.name for path in driver.output.parent.iterdir()} == {
        driver.output.name,
        driver.job_dir.name,
    }
    assert workers() == []


@pytest.mark.parametrize("stage", ["decode", "process", "encode"])
def test_a_worker_that_is_killed_in_any_stage_changes_nothing(
    farm: Farm, tmp_path: Path, stage: str
) -> None:
    set_fault(farm, stage, 7, "kill")
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    assert happened(farm) == 1
    check(farm, driver, result)
    with Ledger(driver.job_dir) as ledger:
        assert "lost" in [note.outcome for note in ledger.attempts()]


def test_a_worker_that_stands_still_is_killed_and_replaced(farm: Farm, tmp_path: Path) -> None:
    set_fault(farm, "encode", 7, "stop")
    driver = Driver(farm, tmp_path / "job" / "out.mp4", stall_s=5.0)
    result = driver.result()
    assert happened(farm) == 1
    check(farm, driver, result)


def test_a_chunk_that_kills_every_worker_is_named_with_its_frames_and_the_rest_is_kept(
    farm: Farm, tmp_path: Path
) -> None:
    set_fault(farm, "process", 7, "kill", times=99)
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    assert result["code"] == 1
    assert "chunk 00007 (frames 42 to 48) brought its worker down (3 attempts)" in result["error"]
    assert not driver.output.exists()
    kept = driver.chunks()
    assert len(kept) > 5
    (farm.faults / "fault.json").unlink()
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    check(farm, driver, result)
    assert {name: driver.chunks()[name] for name in kept} == kept


@pytest.mark.parametrize("spare", [True, False])
def test_a_node_that_is_lost_changes_nothing_with_and_without_a_spare(
    farm: Farm, tmp_path: Path, spare: bool
) -> None:
    driver = Driver(farm, tmp_path / "job" / "out.mp4", workers=2)
    driver.wait_until(lambda: len(driver.chunks()) >= 6)
    (victim,) = _processes(
        lambda name, line: name.endswith("raylet") and any("victim" in each for each in line)
    )
    if not spare:
        victim.kill()
    else:
        other = _start_node(farm)
        victim.kill()
    result = driver.result()
    check(farm, driver, result)
    if spare:
        other.terminate()
        other.wait()


def done_by(driver: Driver) -> Counter[int]:
    """Chunks that each worker has done."""
    with Ledger(driver.job_dir) as ledger:
        return Counter(note.worker for note in ledger.attempts() if note.outcome == "done")


def test_a_node_that_joins_during_the_job_does_what_the_others_leave(
    farm: Farm, tmp_path: Path
) -> None:
    set_fault(farm, "process", 7, "hold", times=2)
    # The others stand still until the new one has done its part, however long it takes to join.
    output = tmp_path / "job" / "out.mp4"
    driver = Driver(farm, output, workers=None, stall_s=LIMIT_S)
    driver.wait_until(lambda: happened(farm) == 2)
    before = len(driver.chunks())
    other = _start_node(farm)
    try:
        driver.wait_until(lambda: len(driver.chunks()) >= before + 18)
        (farm.faults / "release").touch()
        result = driver.result()
        check(farm, driver, result)
    finally:
        other.terminate()
        other.wait()
    assert any("joined: 1 more at work" in note for note in result["notes"])
    assert done_by(driver)[2] >= 15


def test_a_node_that_drains_gets_no_further_chunk_and_what_it_has_in_hand_counts(
    farm: Farm, tmp_path: Path
) -> None:
    set_fault(farm, "process", 7, "hold", times=2)
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    driver.wait_until(lambda: happened(farm) == 2)
    _drain(farm, "victim")
    driver.wait_until(lambda: "is to be left" in driver.said())
    (farm.faults / "release").touch()
    result = driver.result()
    check(farm, driver, result)
    with Ledger(driver.job_dir) as ledger:
        outcomes = {note.outcome for note in ledger.attempts()}
    assert outcomes <= {"sent", "done", "dropped"}
    fewest, most = sorted(done_by(driver).values())
    assert fewest < 15 < most


def _drain(farm: Farm, resource: str) -> None:
    """Ask Ray to let go of the node with this resource."""
    script = (
        "import ray, subprocess, sys; ray.init(sys.argv[1], logging_level='ERROR')\n"
        "(node,) = [n['NodeID'] for n in ray.nodes() if sys.argv[3] in n['Resources']]\n"
        "subprocess.run([sys.argv[2], 'drain-node', '--address', sys.argv[1], '--node-id', node,"
        " '--reason', 'DRAIN_NODE_REASON_PREEMPTION', '--reason-message', 'a test',"
        " '--deadline-remaining-seconds', '600'], check=True)"
    )
    ray = Path(sys.executable).with_name("ray")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, farm.address, ray, resource],
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def _has_chunks(driver: Driver, count: int) -> bool:
    return len(driver.chunks()) >= count


def _start_node(farm: Farm) -> subprocess.Popen[bytes]:
    """One more node joins the cluster."""
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("ray"),
            *("start", "--address", farm.address, "--num-cpus", "1", "--block"),
            *("--object-store-memory", str(160 << 20)),
        ],
        env=os.environ
        | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT), VARIABLE: str(farm.faults)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_driver_that_is_killed_at_five_random_points_goes_on_and_renders_nothing_twice(
    farm: Farm, tmp_path: Path
) -> None:
    points = sorted(random.Random(4).sample(range(1, 29), 5))
    kept: dict[str, tuple[int, int]] = {}
    for point in points:
        driver = Driver(farm, tmp_path / "job" / "out.mp4")
        driver.wait_until(partial(_has_chunks, driver, point))
        os.kill(driver.process.pid, signal.SIGKILL)
        driver.result()
        psutil.wait_procs(workers(), timeout=60)
        found = driver.chunks()
        assert {name: found.get(name) for name in kept} == kept
        kept = found
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    check(farm, driver, result)
    assert {name: driver.chunks()[name] for name in kept} == kept


def test_a_driver_that_is_killed_in_the_final_task_goes_on_without_rendering(
    farm: Farm, tmp_path: Path
) -> None:
    driver = Driver(farm, tmp_path / "job" / "out.mp4", encode_on="final")
    driver.wait_until(lambda: len(driver.chunks()) == 30)
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.result()
    kept = driver.chunks()
    driver = Driver(farm, tmp_path / "job" / "out.mp4", encode_on="final")
    result = driver.result()
    assert result["code"] == 0, result
    assert sum(worker["chunks"] for worker in result["workers"]) == 0
    assert driver.chunks() == kept
    assert not list(driver.job_dir.glob(".facefarm-final*"))


def test_a_full_disk_fails_the_job_in_one_line_and_the_next_run_goes_on(
    farm: Farm, tmp_path: Path
) -> None:
    set_fault(farm, "encode", 9, "full", times=99)
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    assert result["code"] == 1
    assert "No space left on device" in result["error"]
    kept = driver.chunks()
    (farm.faults / "fault.json").unlink()
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    check(farm, driver, result)
    assert {name: driver.chunks()[name] for name in kept} == kept


def test_a_disk_that_is_really_full_fails_the_job_in_one_line_and_the_next_run_goes_on(
    farm: Farm, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", len(farm.whole) * 6 // 10) as disk:
        driver = Driver(farm, disk / "out.mp4")
        result = driver.result()
        assert result["code"] == 1, result
        assert "free space there" in result["error"]
        kept = driver.chunks()
        assert len(kept) >= 3
        _mount("-o", f"remount,size={64 << 20}", disk)
        driver = Driver(farm, disk / "out.mp4")
        result = driver.result()
        check(farm, driver, result)
        assert {name: driver.chunks()[name] for name in kept} == kept


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes; skips the test where none may be mounted."""
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _mount(*arguments: object) -> int:
    command = ["mount", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("victim", ["driver", "final task", "ffmpeg"])
def test_a_kill_inside_the_final_mux_changes_nothing(
    farm: Farm, tmp_path: Path, victim: str
) -> None:
    slow = slow_ffmpeg(tmp_path / "ffmpeg", farm.faults / "muxing")
    driver = Driver(farm, tmp_path / "job" / "out.mp4", ffmpeg=str(slow))
    temporary = partial(driver.output.parent.glob, ".facefarm-*.mp4")
    driver.wait_until(lambda: any(temporary()))
    muxers = partial(_processes, lambda _, line: any(".facefarm-" in each for each in line))
    killed = {
        "driver": [psutil.Process(driver.process.pid)],
        "final task": _processes(lambda name, _: name.startswith("ray::Finisher")),
        "ffmpeg": muxers(),
    }[victim]
    assert len(killed) == 1
    killed[0].kill()
    result = driver.result()
    assert not driver.output.exists()
    if victim != "driver":
        assert result["code"] == 1
        assert "error" in result
    kept = driver.chunks()
    assert len(kept) == 30
    driver = Driver(farm, tmp_path / "job" / "out.mp4", ffmpeg=str(slow))
    result = driver.result()
    check(farm, driver, result)
    assert driver.chunks() == kept
    assert not psutil.wait_procs(muxers(), timeout=30)[1]


def slow_ffmpeg(path: Path, marker: Path) -> Path:
    """An ffmpeg whose first final mux takes as long as the video."""
    real = imageio_ffmpeg.get_ffmpeg_exe()
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *.facefarm-*) if [ ! -e "{marker}" ]; then touch "{marker}"; '
        f'exec "{real}" -re "$@"; fi;; esac\nexec "{real}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_a_head_that_is_killed_fails_the_job_in_one_line_and_another_cluster_goes_on(
    farm: Farm, nodes: list[dict[str, Any]], tmp_path: Path
) -> None:
    set_fault(farm, "process", 7, "hold", times=2)
    environment = {VARIABLE: str(farm.faults), "PYTHONPATH": str(ROOT)}
    with temporary_folder() as folder, cluster_of(nodes, folder, **environment) as address:
        driver = Driver(replace(farm, address=address), tmp_path / "job" / "out.mp4")
        driver.wait_until(lambda: happened(farm) == 2)
        (head,) = _processes(
            lambda name, line: name.endswith("gcs_server") and any(str(folder) in x for x in line)
        )
        head.kill()
        result = driver.result()
    assert result["code"] == 1, result
    assert "the head of the cluster has not answered" in result["error"]
    kept = driver.chunks()
    assert len(kept) > 3
    (farm.faults / "release").touch()
    driver = Driver(farm, tmp_path / "job" / "out.mp4")
    result = driver.result()
    check(farm, driver, result)
    assert {name: driver.chunks()[name] for name in kept} == kept


def test_a_second_driver_on_the_same_job_is_refused_and_the_first_goes_on(
    farm: Farm, tmp_path: Path
) -> None:
    first = Driver(farm, tmp_path / "job" / "out.mp4")
    first.wait_until(lambda: len(first.chunks()) >= 2)
    second = Driver(farm, tmp_path / "job" / "out.mp4").result()
    assert second["code"] == 1
    assert f"process {first.process.pid} works on this job" in second["error"]
    check(farm, first, first.result())
