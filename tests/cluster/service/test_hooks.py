from __future__ import annotations

import json
import smtplib
import ssl
import sys
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from cluster.service.hooks import SIGNATURE_HEADER, TIME_HEADER, Hooks, Mail, Webhook, signature
from farm.errors import JobError
from scheduler.queue.claims import claim, finish
from scheduler.queue.records import JobOutcome, QueueJob
from scheduler.queue.store import QueueStore
from tests.scheduler.queue.made_up import NOW, add, new_job

SECRET = "a secret that is long"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[QueueJob]:
    """A job that is done, whose output has a name that begins a header of its own."""
    with QueueStore(tmp_path / "q.sqlite") as store:
        (number,) = add(store, new_job(1, output=Path("/out/a\r\nBcc: all@example.org.mp4")))
        found = claim(store, "service", NOW)
        assert found is not None
        finish(store, found[0], NOW, JobOutcome.DONE, 0, "")
        yield store.get(number)


class Receiver(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[Any, bytes]]] = []
    status: ClassVar[int] = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.headers, body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.got.clear()
    Receiver.status = 200
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_signed_and_tells_the_job(job: QueueJob, receiver: str) -> None:
    Hooks(webhook=Webhook(url=receiver, secret=SECRET)).run("webhook", job, NOW)
    ((headers, body),) = Receiver.got
    assert headers[SIGNATURE_HEADER] == signature(SECRET, headers[TIME_HEADER], body)
    told = json.loads(body)
    assert (told["job"], told["outcome"], told["output"]) == (1, "done", str(job.output))


def test_a_webhook_that_is_refused_is_an_error_without_the_secret(
    job: QueueJob, receiver: str
) -> None:
    Receiver.status = 500
    with pytest.raises(JobError, match=r"127\.0\.0\.1 did not take it") as caught:
        Hooks(webhook=Webhook(url=receiver, secret=SECRET)).run("webhook", job, NOW)
    assert SECRET not in caught.value.message


def test_a_command_gets_the_paths_as_they_are(job: QueueJob, tmp_path: Path) -> None:
    said = tmp_path / "said.json"
    code = f"import json, sys; json.dump(sys.argv[1:], open({str(said)!r}, 'w'))"
    command = (sys.executable, "-c", code, "{output}", "{outcome}", "x{job}")
    Hooks(command=command).run("command", job, NOW)
    assert json.loads(said.read_text()) == [str(job.output), "done", "x{job}"]
    fails = (sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)")
    with pytest.raises(JobError, match=r"exit code 3 \(no\)"):
        Hooks(command=fails).run("command", job, NOW)


def test_a_mail_insists_on_a_server_that_proves_its_name_and_takes_no_header_from_a_file_name(
    job: QueueJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[EmailMessage] = []
    contexts: list[ssl.SSLContext] = []

    class Server:
        def __init__(self, *_: object, **__: object) -> None:
            """Connect to nobody."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def starttls(self, *, context: ssl.SSLContext) -> None:
            contexts.append(context)

        def send_message(self, message: EmailMessage) -> None:
            sent.append(message)

    monkeypatch.setattr(smtplib, "SMTP", Server)
    mail = Mail(server="mail.example:25", sender="a@example.org", receivers=("b@example.org",))
    Hooks(mail=mail).run("mail", job, NOW)
    assert contexts[0].check_hostname
    assert contexts[0].verify_mode is ssl.CERT_REQUIRED
    assert sent[0]["Bcc"] is None
    assert "a??Bcc" in sent[0]["Subject"]
