from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive

from cluster.service.config import WebSettings
from cluster.service.web.app import create_app
from cluster.service.web.guard import COOKIE, FORM_FIELD, Guard, is_loopback
from cluster.service.web.server import WebServer
from farm.errors import SettingsError, SetupError
from farm.observer import WorkerProgress
from scheduler.queue.claims import claim, finish, heartbeat
from scheduler.queue.records import JobOutcome, JobProgress
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import NOW, add, new_job

TOKEN = "a token that is long"


class Site:
    """The service's pages on a made-up queue."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.path = folder / "queue.sqlite"
        self.store = QueueStore(self.path)
        web = WebSettings(**{"roots": (folder,), **settings})
        self.app = create_app(self.path, folder / "logs", web)
        self.client = TestClient(self.app, "http://localhost", follow_redirects=False)

    def form_token(self) -> str:
        page: str = self.client.get("/add").text
        return page.split(f'name="{FORM_FIELD}" value="')[1].split('"')[0]

    def post(self, path: str, **fields: str) -> Any:
        return self.client.post(path, data={FORM_FIELD: self.form_token(), **fields})

    def job(self, **changes: Any) -> dict[str, Any]:
        if not (self.folder / "in.mp4").exists():
            (self.folder / "in.mp4").write_bytes(b"x")
        body = {
            "targets": [str(self.folder / "in.mp4")],
            "output": str(self.folder / "out.mp4"),
            "options": {"frame_processor": ["none"]},
        }
        return body | changes


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.close()


def test_a_job_is_added_shown_ordered_and_removed_over_rest(site: Site) -> None:
    answer = site.client.post("/api/jobs", json=site.job())
    assert (answer.status_code, answer.json()["job_ids"]) == (201, [1])
    assert site.client.post("/api/jobs", json=site.job()).json()["there_already"] == {"0": 1}
    listed = site.client.get("/api/jobs", params={"state": "waiting"}).json()
    assert [job["job_id"] for job in listed["jobs"]] == [1]
    assert site.client.patch("/api/jobs/1", json={"priority": 7}).json()["job"]["priority"] == 7
    assert site.client.post("/api/jobs/1/pause").json()["job"]["state"] == "paused"
    assert site.client.post("/api/jobs/1/pause").status_code == 409
    assert site.client.post("/api/jobs/1/cancel").json()["job"]["outcome"] == "cancelled"
    shown = site.client.get("/api/jobs/1").json()
    assert [entry["what"] for entry in shown["history"]] == [
        "added",
        "move",
        "pause",
        "cancel",
        "cancelled",
    ]
    assert site.client.delete("/api/jobs/1").status_code == 204
    assert site.client.get("/api/jobs/1").status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": ["/etc/passwd"]}, "/etc/passwd: lies outside of"),
        ({"targets": ["in.mp4"]}, "must be an absolute path"),
        ({"output": "/elsewhere/{stem}.mp4"}, "lies outside of"),
        ({"sources": ["/etc/passwd"]}, "lies outside of"),
        ({"options": {"address": "ray://evil:1"}}, "address cannot be set over HTTP"),
        ({"options": {"ffmpeg": "/bin/sh"}}, "ffmpeg cannot be set over HTTP"),
        ({"options": {"encoder-option": ["stats=/etc/x"]}}, "cannot be set over HTTP"),
        ({"options": {"frame_processor": ["face_anonymiser"]}}, "did you mean 'face_anonymizer'"),
        ({"options": {"video_encoder": "libx246"}}, "did you mean 'libx26"),
        ({"options": {"models-dir": "/etc"}}, "/etc: lies outside of"),
        ({"options": {"model": {"swapper": "/etc/passwd"}}}, "/etc/passwd: lies outside of"),
        ({"options": {"video_quality": 99}}, "must be between 0 and 51"),
        ({"options": {"no_such": 1}}, "no option is called 'no_such'"),
        ({"options": {"video_quality": "x"}}, "video_quality must be a whole number, not 'x'"),
        ({"windows": ["at night"]}, "write like"),
    ],
)
def test_what_must_not_be_added_is_refused_with_its_reason(
    site: Site, changes: dict[str, Any], said: str
) -> None:
    answer = site.client.post("/api/jobs", json=site.job(**changes))
    assert answer.status_code == 409, answer.text
    assert said in answer.json()["detail"]
    assert site.store.jobs() == []


def test_a_link_does_not_lead_out_of_the_roots(site: Site, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    answer = site.client.post("/api/jobs", json=site.job(targets=[f"{tmp_path}/link/passwd"]))
    assert answer.status_code == 409


def test_a_link_in_a_folder_or_behind_a_template_does_not_lead_out(
    site: Site, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.mp4").write_bytes(b"x")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").symlink_to(outside / "secret.mp4")
    (tmp_path / "link-in").symlink_to(outside)
    for changes in (
        {"targets": [f"{tmp_path}/clips"]},
        {"targets": [f"{tmp_path}/clips/*.mp4"]},
        {"output": f"{tmp_path}/link-{{stem}}/out.mp4"},
    ):
        answer = site.client.post("/api/jobs", json=site.job(**changes))
        assert "lies outside of" in answer.json()["detail"], changes
    assert site.store.jobs() == []


def test_without_roots_nothing_is_added(tmp_path: Path) -> None:
    site = Site(tmp_path, roots=())
    answer = site.client.post("/api/jobs", json=site.job())
    assert "no folder is open to HTTP" in answer.json()["detail"]
    site.store.close()


def test_another_sites_page_changes_nothing(site: Site) -> None:
    add(site.store, new_job(1))
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for path in ("/api/jobs/1/cancel", "/jobs/1/cancel"):
            assert site.client.post(path, headers=headers).status_code == 403
        assert site.client.post("/api/jobs", json=site.job(), headers=headers).status_code == 403
    assert site.client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert [job.outcome for job in site.store.jobs()] == [None]


def test_a_form_without_the_secret_changes_nothing(site: Site) -> None:
    add(site.store, new_job(1))
    for fields in ({}, {FORM_FIELD: "guess"}):
        answer = site.client.post("/jobs/1/cancel", data={"x": "y", **fields})
        assert answer.status_code == 403
    assert site.post("/jobs/1/cancel").status_code == 303
    assert site.store.get(1).outcome is JobOutcome.CANCELLED


def test_every_answer_keeps_other_sites_and_scripts_out(site: Site) -> None:
    add(site.store, new_job(1))
    for path in ("/", "/jobs/1", "/api/jobs", "/jobs/1/preview.jpg", "/metrics", "/nothing"):
        headers = site.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
    policy = site.client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "<script>" not in site.client.get("/jobs/1").text


def test_what_a_job_says_is_text_and_no_markup(site: Site, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    target = tmp_path / f"{evil}.mp4"
    output = tmp_path / f"{evil}-out.mp4"
    values = {"target": str(target), "output": str(output), "note": evil}
    add(site.store, new_job(1, target=target, output=output, values=values, tags=(evil,)))
    found = claim(site.store, evil, NOW)
    assert found is not None
    worker = WorkerProgress(worker=evil, node=evil, chunk_index=1, chunks=1, frames=1, fps=1.0)
    progress = JobProgress(stage=evil, detail=evil, frames=10, frames_done=1, workers=(worker,))
    heartbeat(site.store, found[0], NOW, progress)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "job-1.log").write_text(evil)
    pages = [site.client.get(path).text for path in ("/", "/fragment", "/jobs/1")]
    finish(site.store, found[0], NOW, JobOutcome.FAILED, 1, evil)
    pages += [site.client.get(path).text for path in ("/", "/jobs/1", f"/?show={evil}")]
    pages.append(site.post("/add", targets=evil, output=evil, tags=evil).text)
    for page in pages:
        assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in pages[0]


def test_a_report_runs_no_scripts_and_lies_in_no_origin(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    add(site.store, new_job(1, output=output))
    assert site.client.get("/jobs/1/report").status_code == 404
    found = claim(site.store, "service", NOW)
    assert found is not None
    finish(site.store, found[0], NOW, JobOutcome.DONE, 0, "")
    (tmp_path / "out.mp4.facefarm.html").write_text("<script>alert(1)</script>")
    headers = site.client.get("/jobs/1/report").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.endswith("; sandbox")
    assert headers["x-frame-options"] == "SAMEORIGIN"


def guarded(receive: Receive, **settings: Any) -> int:
    """Send a request with a body to the guard alone; returns the status of its answer."""

    async def nothing(*_: object) -> None:
        raise AssertionError("nothing may come through")

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    guard = Guard(nothing, hosts=(), token=None, form_token="x", **settings)
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/jobs",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(guard(scope, receive, send))
    return int(said[0]["status"])


def test_a_huge_request_is_refused_before_it_is_read_whole() -> None:
    read: list[int] = []

    async def receive() -> Message:
        assert len(read) < 100
        read.append(1)
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    assert guarded(receive) == 413


def test_a_request_that_trickles_in_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError("it is given up before")

    assert guarded(receive, body_s=0.01) == 408


def test_a_wrong_token_is_said_and_gives_no_cookie(tmp_path: Path) -> None:
    site = Site(tmp_path, token=TOKEN)
    page = site.client.get("/login").text
    secret = page.split(f'name="{FORM_FIELD}" value="')[1].split('"')[0]
    answer = site.client.post("/login", data={FORM_FIELD: secret, "token": "a wrong token"})
    assert answer.status_code == 401
    assert "this is not the token" in answer.text
    assert COOKIE not in site.client.cookies
    site.store.close()


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/jobs/99/cancel", {}, 409),
        ("/jobs/99/priority/1", {}, 409),
        ("/jobs/99999999999999999999/cancel", {}, 422),
        ("/add", {"targets": "/x", "output": "/y", "priority": "high"}, 422),
        ("/add", {"targets": "/x", "output": "/y", "option-video_quality": "x"}, 422),
    ],
)
def test_what_a_form_cannot_mean_is_said(
    site: Site, path: str, fields: dict[str, str], status: int
) -> None:
    assert site.post(path, **fields).status_code == status


def test_the_page_and_rest_tell_what_each_worker_does(site: Site) -> None:
    add(site.store, new_job(1))
    found = claim(site.store, "service", NOW)
    assert found is not None
    workers = (
        WorkerProgress(worker="worker-0", node="n1", chunk_index=7, chunks=2, frames=60, fps=12.5),
        WorkerProgress(worker="worker-1", node="n2", chunk_index=None, chunks=0, frames=0, fps=0),
    )
    heartbeat(site.store, found[0], NOW, JobProgress(frames=90, frames_done=60, workers=workers))
    page = site.client.get("/fragment").text
    for text in ("worker-0", "n1", "00007", "12.5", "worker-1", "waits"):
        assert f"<td>{text}</td>" in page or f'<td class="number">{text}</td>' in page
    told = site.client.get("/api/jobs/1").json()["job"]["progress"]["workers"]
    assert told[0] == {
        "worker": "worker-0",
        "node": "n1",
        "chunk_index": 7,
        "chunks": 2,
        "frames": 60,
        "fps": 12.5,
    }


def test_a_token_is_asked_of_everybody(tmp_path: Path) -> None:
    site = Site(tmp_path, token=TOKEN, hosts=("farm.example",))
    client = site.client
    assert client.get("/healthz").status_code == 200
    for path in ("/api/jobs", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 401
    assert client.get("/", headers={"Accept": "text/html"}).headers["location"] == "/login"
    good = {"Authorization": f"Bearer {TOKEN}", "Host": "farm.example:8420"}
    assert client.get("/api/jobs", headers=good).status_code == 200
    assert client.get("/api/jobs", headers={"Authorization": "Bearer no"}).status_code == 401
    page = client.get("/login").text
    secret = page.split(f'name="{FORM_FIELD}" value="')[1].split('"')[0]
    client.post("/login", data={FORM_FIELD: secret, "token": TOKEN})
    assert client.cookies[COOKIE].strip('"') == TOKEN
    assert client.get("/api/jobs").status_code == 200
    site.store.close()


def test_the_pages_show_the_queue_a_job_and_a_form(site: Site) -> None:
    add(site.store, new_job(1, tags=("<b>",)))
    found = claim(site.store, "service", NOW)
    assert found is not None
    heartbeat(site.store, found[0], NOW, JobProgress(stage="process", frames_done=5, frames=10))
    page = site.client.get("/").text
    assert "5 of 10 frames" in page
    assert "&lt;b&gt;" in page
    assert "/out1.mp4" in site.client.get("/jobs/1").text
    assert site.client.get("/jobs/99").status_code == 404
    assert site.client.get("/jobs/1/preview.jpg").status_code == 404
    form = site.client.get("/add").text
    assert "face_anonymizer" in form
    assert "--anonymizer-padding" in form
    assert "--address" not in form


def test_the_form_adds_a_job_and_says_what_is_wrong(site: Site, tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"x")
    fields = {"targets": f"{tmp_path}/in.mp4", "processor": "face_anonymizer"}
    answer = site.post("/add", output="/etc/x.mp4", **fields)
    assert answer.status_code == 422
    assert "lies outside of" in answer.text
    more = {"option-anonymizer_padding": "0.5", "option-keep_audio": "off", "tags": "a b"}
    answer = site.post("/add", output=f"{tmp_path}/{{stem}}-x.mp4", **fields, **more)
    assert answer.status_code == 303, answer.text
    (job,) = site.store.jobs()
    assert job.output == tmp_path / "in-x.mp4"
    assert job.values["frame_processor"] == ["face_anonymizer"]
    assert (job.values["anonymizer_padding"], job.values["keep_audio"]) == (0.5, False)
    assert job.tags == ("a", "b")


def test_metrics_count_jobs_and_frames(site: Site) -> None:
    add(site.store, new_job(1), new_job(2))
    found = claim(site.store, "service", NOW)
    assert found is not None
    heartbeat(site.store, found[0], NOW, JobProgress(frames_done=5, frames=10))
    text = site.client.get("/metrics").text
    assert 'facefarm_queue_jobs{state="waiting"} 1' in text
    assert 'facefarm_job_frames_done{job="1"} 5' in text
    finish(site.store, found[0], NOW, JobOutcome.DONE, 0, "")
    assert 'facefarm_queue_jobs{state="done"} 1' in site.client.get("/metrics").text


def test_beyond_loopback_nobody_listens_without_a_token(tmp_path: Path) -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "a.b")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(SettingsError, match="others can reach this address"):
        WebServer("0.0.0.0:0", tmp_path / "q", tmp_path, WebSettings())
    with pytest.raises(SettingsError, match="write HOST:PORT"):
        WebServer("8420", tmp_path / "q", tmp_path, WebSettings())


def test_a_real_server_answers_and_a_taken_port_is_said(tmp_path: Path) -> None:
    import urllib.request

    with WebServer("127.0.0.1:0", tmp_path / "q", tmp_path, WebSettings()) as server:
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=20) as answer:
            assert answer.read() == b"ok\n"
        with pytest.raises(SetupError, match="cannot listen there"):
            WebServer(server.url.removeprefix("http://"), tmp_path / "q", tmp_path, WebSettings())
