from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import server_commands
from cluster.submit import _ENTRY, _SCRIPT, JobServer, JobState, job_file
from farm.config import read_config
from farm.errors import ClusterError, InputError
from farm.options import collect, options_of
from farm.settings import EncodeOn, ProcessorSettings, RenderSettings
from tests.cluster.command import temporary_folder
from tests.cluster.nodes import cluster_of, facefarm
from tests.media_maker import Studio, serial_frames

TOKEN = "0123456789abcdef0123456789abcdef"


class Client:
    """What the farm uses of Ray's job client."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.exit_code: int | None = None
        self.error: Exception | None = None
        self.not_ready = 0
        self.sent: dict[str, Any] = {}
        self.files: dict[str, str] = {}
        self.lines = ["facefarm: one\ntw", "o\n", "three"]

    def submit_job(self, **what: Any) -> None:
        self._fail()
        if self.not_ready:
            self.not_ready -= 1
            raise RuntimeError("status code 500: No available agent to submit job")
        folder = Path(what["runtime_env"]["working_dir"])
        self.sent = what
        self.files = {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}

    def get_job_info(self, _job: str) -> Any:
        self._fail()
        status = SimpleNamespace(value=self.status)
        return SimpleNamespace(status=status, message="a\n b", driver_exit_code=self.exit_code)

    def get_job_logs(self, _job: str) -> str:
        self._fail()
        return "one\ntwo\n"

    def stop_job(self, _job: str) -> None:
        self.status = "STOPPED"

    async def tail_job_logs(self, _job: str) -> Any:
        for line in self.lines:
            yield line
        self.status, self.exit_code = "FAILED", 4

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr("cluster.submit._client", lambda _address: made)
    monkeypatch.setattr("cluster.submit.settle_authentication", lambda _host: None)
    return made


def settings(tmp_path: Path, **changes: Any) -> RenderSettings:
    values: dict[str, Any] = {"target": tmp_path / "a.mp4", "output": tmp_path / "b.mp4"}
    return RenderSettings(**(values | changes))


def read_back(text: str, tmp_path: Path) -> RenderSettings:
    file = tmp_path / "job.toml"
    file.write_text(text)
    known = {spec.name: spec.kind for spec in options_of(RenderSettings)}
    made: RenderSettings = collect(RenderSettings, read_config(file, known))
    return made


def test_a_job_file_says_what_the_settings_say(tmp_path: Path) -> None:
    asked = settings(
        tmp_path,
        sources=(tmp_path / 'odd "name".jpg', tmp_path / "ü.jpg"),
        processors=ProcessorSettings(names=("none", "face_anonymizer"), many_faces=True),
        models=(("detector", tmp_path / "d.onnx"),),
        keep_audio=False,
        encode_on=EncodeOn.FINAL,
        max_memory_bytes=3 << 29,
        chunk_seconds=2.5,
        workers=7,
        address="head:6379",
    )
    back = read_back(job_file(asked), tmp_path)
    assert back == RenderSettings(**(vars_of(asked) | {"address": "auto"}))


def test_defaults_are_left_out_and_paths_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = job_file(settings(tmp_path, target=Path("here.mp4"), output=Path("s3://b/o.mp4")))
    assert text.splitlines() == [
        'address = "auto"',
        f'target = "{tmp_path}/here.mp4"',
        'output = "s3://b/o.mp4"',
    ]


def test_a_rate_is_kept_as_it_was_said(tmp_path: Path) -> None:
    asked = collect(
        RenderSettings, {"target": tmp_path / "a", "output": tmp_path / "b", "fps": "30000/1001"}
    )
    assert read_back(job_file(asked), tmp_path).time.fps == Fraction(30000, 1001)


def vars_of(record: RenderSettings) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def test_code_and_settings_are_sent_and_no_setting_is_on_the_command_line(
    client: Client, tmp_path: Path
) -> None:
    job = JobServer("http://head:8265").submit(
        settings(tmp_path, target=Path("https://me:pw@host/a.mp4"))
    )
    assert job.startswith("facefarm-")
    assert client.sent["submission_id"] == job
    assert "pw" not in json.dumps(client.sent)
    assert "https://me:pw@host/a.mp4" in client.files["job.toml"]
    assert {"cli.py", _ENTRY} <= client.files.keys()
    assert not Path(client.sent["runtime_env"]["working_dir"]).exists()


def test_a_cluster_that_has_just_started_is_given_time(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.submit._POLL_S", 0.0)
    client.not_ready = 2
    assert JobServer("http://h:1").submit(settings(tmp_path)) == client.sent["submission_id"]
    monkeypatch.setattr("cluster.submit._READY_S", -1.0)
    client.not_ready = 2
    with pytest.raises(ClusterError, match="No available agent"):
        JobServer("http://h:1").submit(settings(tmp_path))


def test_the_python_with_rays_libraries_runs_the_job_whatever_the_path_is(tmp_path: Path) -> None:
    (tmp_path / _ENTRY).write_text(_SCRIPT)
    (tmp_path / "cli.py").write_text("import sys; print(sys.prefix, *sys.argv[1:])")
    parent = (
        "import ray, subprocess\n"
        f"subprocess.run('exec sh {_ENTRY}', shell=True, cwd={str(tmp_path)!r}, check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", parent],
        env=os.environ | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [sys.prefix, "render", "--config", "job.toml"]


def test_a_job_is_followed_line_by_line_to_its_exit_code(client: Client) -> None:
    said: list[str] = []
    result = server_commands.logs(job="j", server="http://h:1", follow=True, say=said.append)
    assert said == ["one", "two", "three"]
    assert (result.exit_code, result.lines) == (4, ["j: failed (exit code 4); a b"])


def test_leaving_a_job_does_not_end_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JobServer, "follow", leave)
    said: list[str] = []
    result = server_commands.logs(job="j", server="http://h:1", follow=True, say=said.append)
    assert result.exit_code == 130
    assert said == ["j goes on; `facefarm logs j --follow` shows it again"]
    assert client.status == "RUNNING"


@pytest.mark.parametrize(
    ("status", "exit_code", "code"),
    [("SUCCEEDED", 0, 0), ("SUCCEEDED", None, 0), ("STOPPED", -15, 130), ("FAILED", None, 1)],
)
def test_the_exit_code_is_that_of_the_render_or_what_comes_nearest(
    client: Client, status: str, exit_code: int | None, code: int
) -> None:
    client.status, client.exit_code = status, exit_code
    report = JobServer("http://h:1").report("j")
    assert server_commands._exit_code(report) == code
    assert report.state is JobState(status)


def test_a_job_can_be_stopped_and_looked_at(client: Client) -> None:
    assert server_commands.status(job="j", server="http://h:1").exit_code == 0
    assert server_commands.stop(job="j", server="http://h:1").lines[0].startswith("j: stopped")
    shown = server_commands.logs(job="j", server="http://h:1", say=print)
    assert shown.lines == ["one", "two"]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (RuntimeError("Request failed with status code 404: x"), InputError, "knows no such job"),
        (RuntimeError("Request failed with status code 401"), ClusterError, "refuses the token"),
        (ConnectionError("Failed\nto connect"), ClusterError, "does not answer .*Failed to conn"),
    ],
)
def test_what_the_server_refuses_is_one_line(
    client: Client, error: Exception, kind: type[Exception], said: str
) -> None:
    client.error = error
    with pytest.raises(kind, match=said) as caught:
        JobServer("http://h:1").report("j")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("server", ["head:8265", "ray://head:10001", "http://"])
def test_what_is_no_job_server_is_refused(client: Client, server: str) -> None:
    with pytest.raises(ClusterError, match="write http://HOST:8265"):
        JobServer(server)


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def guarded_cluster() -> Iterator[str]:
    """A cluster with a job server that wants a token; the server's address."""
    port, agent_port = free_port(), free_port()
    node = {
        "num_cpus": 2,
        "include_dashboard": True,
        "dashboard_port": port,
        "dashboard_agent_listen_port": agent_port,
    }
    guard = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with temporary_folder() as folder, cluster_of([node], folder, **guard):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.ray
def test_a_job_runs_on_a_guarded_cluster_that_was_started_elsewhere(
    media_studio: Studio, tmp_path: Path
) -> None:
    source, output = media_studio.path("plain.mp4"), tmp_path / "out.mp4"
    render = ("-t", source, "-o", output, "--frame-processor", "none", "--video-quality", "0")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with guarded_cluster() as server:
        wrong = facefarm(
            "status", "x", "--server", server, **{**token, "RAY_AUTH_TOKEN": TOKEN[::-1]}
        )
        assert wrong.returncode == 3
        assert "refuses the token of this machine" in wrong.stderr
        done = facefarm("submit", *render, "--server", server, "--json", **token)
        assert done.returncode == 0, done.stderr
        job = json.loads(done.stdout)["job"]
        assert "60 frames" in done.stderr
        assert "60 frames" in facefarm("logs", job, "--server", server, **token).stdout
        again = facefarm("submit", *render, "--server", server, **token)
        assert again.returncode == 2, "the exit code of the render there is that of submit"
        assert "--overwrite" in again.stderr
        known = facefarm("status", job, "--server", server, **token)
        assert "succeeded (exit code 0)" in known.stdout
    assert [f.md5 for f in serial_frames(output)] == [f.md5 for f in serial_frames(source)]
