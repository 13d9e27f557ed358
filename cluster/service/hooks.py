"""What the service does after a job: webhook, command, e-mail.

They come from the service's own configuration and from nowhere else. Each is kept in the queue
until it has run (`scheduler.queue.deliveries`). Not for: deciding when (`cluster.service.service`).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from farm.errors import JobError
from farm.manifest import manifest_path, to_jsonable
from scheduler.queue.records import QueueJob

SIGNATURE_HEADER = "X-Facefarm-Signature"
"""`sha256=` and the HMAC of time stamp, a dot and body, in hexadecimal."""
TIME_HEADER = "X-Facefarm-Time"
"""Seconds since 1970, part of what is signed, so that an old message cannot be sent again."""
_LIMIT_S = 30.0
_COMMAND_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A POST of the job as JSON."""

    url: str
    secret: str
    """Key of the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An e-mail through an SMTP server."""

    server: str
    """Host and port."""
    sender: str
    receivers: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    tls: bool = True
    """Whether STARTTLS is insisted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What is done after each job that ended."""

    webhook: Webhook | None = None
    command: tuple[str, ...] = ()
    """Program and arguments; `{manifest}`, `{output}`, `{outcome}` and `{job}` are filled in."""
    mail: Mail | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of those that are configured."""
        there = {"webhook": self.webhook, "command": self.command, "mail": self.mail}
        return tuple(name for name, value in there.items() if value)

    def run(self, name: str, job: QueueJob, now: datetime) -> None:
        """Carry one out.

        Raises:
            JobError: It failed; the message says how.
        """
        if name == "webhook" and self.webhook:
            _post(self.webhook, _document(job), now)
        elif name == "command" and self.command:
            _call(self.command, job)
        elif name == "mail" and self.mail:
            _send(self.mail, job)
        else:
            raise JobError(f"the hook {name!r} is not configured any more")


def signature(secret: str, time_text: str, body: bytes) -> str:
    """What `SIGNATURE_HEADER` must be."""
    signed = time_text.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _document(job: QueueJob) -> dict[str, Any]:
    """The job as a receiver sees it."""
    return {
        "job": job.job_id,
        "attempt": job.attempts,
        "outcome": to_jsonable(job.outcome),
        "target": str(job.target),
        "output": str(job.output),
        "manifest": str(manifest_path(job.output)),
        "message": job.message,
        "tags": list(job.tags),
        "ended": (job.ended or datetime.now(UTC)).isoformat(),
    }


def _post(hook: Webhook, document: dict[str, Any], now: datetime) -> None:
    body = json.dumps(document).encode()
    stamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        TIME_HEADER: stamp,
        SIGNATURE_HEADER: signature(hook.secret, stamp, body),
    }
    request = urllib.request.Request(hook.url, body, headers)
    host = urllib.parse.urlsplit(hook.url).hostname
    try:
        with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        with error:
            raise JobError(f"{host} did not take it ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise JobError(f"{host} did not take it ({error})") from error


def _call(command: tuple[str, ...], job: QueueJob) -> None:
    fields = {
        "{manifest}": str(manifest_path(job.output)),
        "{output}": str(job.output),
        "{outcome}": str(job.outcome),
        "{job}": str(job.job_id),
    }
    arguments = [fields.get(word, word) for word in command]
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_LIMIT_S,
            check=False,
            env=os.environ | {"FACEFARM_HOOK_JOB": str(job.job_id)},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JobError(f"{command[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise JobError(f"{command[0]} ended with exit code {done.returncode} ({last})")


def _send(mail: Mail, job: QueueJob) -> None:
    message = EmailMessage()
    message["From"], message["To"] = mail.sender, ", ".join(mail.receivers)
    name = "".join(c if c.isprintable() else "?" for c in job.output.name)
    message["Subject"] = f"facefarm: job {job.job_id} is {job.outcome} ({name})"
    lines = [f"{name}: {value}" for name, value in _document(job).items()]
    message.set_content("\n".join(lines))
    host, _, port = mail.server.partition(":")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=_LIMIT_S) as server:
            if mail.tls:
                server.starttls(context=ssl.create_default_context())
            if mail.user:
                server.login(mail.user, mail.password or "")
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise JobError(f"{mail.server} did not take the mail ({error})") from error
