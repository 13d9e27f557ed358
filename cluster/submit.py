"""Jobs that Ray's job server runs on a cluster: sent with their code, followed, stopped.

The job server is part of `ray[default]`; it listens beside the dashboard (port 8265). Not for: what
a job does (`cluster.render`), or renders whose command stays here (`--address`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ray.exceptions import RayError

from cluster.attach import settle_authentication
from cluster.code import staged_code
from cluster.runtime import worker_variables
from farm.errors import ClusterError, InputError, SetupError
from farm.options import OptionKind, options_of
from farm.settings import RenderSettings
from farm.storage import address_of

_CONFIG = "job.toml"
_ENTRY = "entry.sh"
_SCRIPT = f"""\
# Ray's job server runs this with whatever PATH it has. The Python with the libraries is the one
# that Ray itself runs in: it is where the library of our parent process lies.
pattern='s#.* \\(/.*\\)/lib/python[^/]*/site-packages/ray/_raylet.*#\\1/bin/python#p'
python=$(sed -n "$pattern" /proc/$PPID/maps 2>/dev/null | head -n 1)
exec "${{python:-python}}" -W ignore cli.py render --config {_CONFIG}
"""
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers of Ray's client that tell of each step."""
_DEFAULT_SERVER = "http://127.0.0.1:8265"
_POLL_S = 0.5
_READY_S = 60.0
_NOT_READY = "No available agent"
"""What the server says while the processes that run jobs start."""


class JobState(StrEnum):
    """How a job stands, in Ray's words."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job as the server tells."""

    job: str
    state: JobState
    message: str
    exit_code: int | None
    """Of `facefarm render` there, None while it runs or where it never began."""


class JobServer:
    """Ray's job server at one address."""

    def __init__(self, server: str | None) -> None:
        """Take the address; None is what Ray's own variable says, or this machine.

        Raises:
            SetupError: Ray's job client is not installed.
            ClusterError: The address is not one of a job server, or there is no token for it.
        """
        self.address = server or os.environ.get("RAY_API_SERVER_ADDRESS") or _DEFAULT_SERVER
        host = urlsplit(self.address).hostname
        if urlsplit(self.address).scheme not in ("http", "https") or not host:
            raise ClusterError(f"--server {self.address}: write http://HOST:8265")
        settle_authentication(host)
        with self._errors():
            self._client = _client(self.address)

    def submit(self, settings: RenderSettings) -> str:
        """Send a render with the code of this process; its name.

        Raises:
            ClusterError: The server does not answer or does not take it.
        """
        job = f"facefarm-{secrets.token_hex(4)}"
        with staged_code() as folder, self._errors():
            # In a file, not on a command line that the dashboard would show.
            (folder / _CONFIG).write_text(job_file(settings), encoding="utf-8")
            (folder / _ENTRY).write_text(_SCRIPT, encoding="utf-8")
            self._send(
                entrypoint=f"exec sh {_ENTRY}",
                submission_id=job,
                runtime_env={"working_dir": str(folder), "env_vars": worker_variables()},
            )
        return job

    def _send(self, **job: Any) -> None:
        """Send a job; a cluster that has just started is given time to be ready for one."""
        give_up = time.monotonic() + _READY_S
        while True:
            try:
                self._client.submit_job(**job)
            except RuntimeError as error:
                if _NOT_READY not in str(error) or time.monotonic() > give_up:
                    raise
            else:
                return
            time.sleep(_POLL_S)

    def report(self, job: str) -> JobReport:
        """Return how a job stands.

        Raises:
            InputError: The server knows no such job.
            ClusterError: It does not answer.
        """
        with self._errors(job):
            found = self._client.get_job_info(job)
        return JobReport(
            job=job,
            state=JobState(str(found.status.value)),
            message=" ".join((found.message or "").split()),
            exit_code=found.driver_exit_code,
        )

    def logs(self, job: str) -> str:
        """Return everything that a job has written.

        Raises:
            InputError: The server knows no such job.
            ClusterError: It does not answer.
        """
        with self._errors(job):
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, say: Callable[[str], None]) -> JobReport:
        """Pass on what a job writes until it ends.

        Raises:
            InputError: The server knows no such job.
            ClusterError: It does not answer.
        """
        self.report(job)
        with self._errors(job):
            asyncio.run(_pass_on(self._client.tail_job_logs(job), say))
            while not (report := self.report(job)).state.is_final:
                asyncio.run(asyncio.sleep(_POLL_S))
        return report

    def stop(self, job: str) -> JobReport:
        """Ask a job to end; finished chunks are kept.

        Raises:
            InputError: The server knows no such job.
            ClusterError: It does not answer.
        """
        with self._errors(job):
            self._client.stop_job(job)
        return self.report(job)

    @contextmanager
    def _errors(self, job: str = "") -> Iterator[None]:
        """Say in one line what the client raises."""
        try:
            yield
        except (ConnectionError, RuntimeError, OSError, RayError) as error:
            text = " ".join(str(error).split())
            if job and "404" in text:
                raise InputError(f"{job}: {self.address} knows no such job") from error
            if "401" in text or "403" in text or "uthentication" in text:
                raise ClusterError(
                    f"--server {self.address}: it refuses the token of this machine; copy the"
                    " cluster's own (ray get-auth-token) to ~/.ray/auth_token"
                ) from error
            raise ClusterError(
                f"--server {self.address}: the job server does not answer as it should"
                f" ({text[:200]}); it needs ray[default] on the head node"
            ) from error


def job_file(settings: RenderSettings) -> str:
    """Return the settings of a render as the TOML file that `--config` takes.

    Paths become absolute: they are those of the cluster. What has its default is left out.
    """
    lines, pairs = ['address = "auto"'], []
    for spec in options_of(RenderSettings):
        value: Any = settings
        for name in spec.place:
            value = getattr(value, name)
        if spec.name == "address" or value in (None, (), spec.default):
            continue
        if spec.kind is OptionKind.PAIRS:
            pairs += [f"{kind} = {_toml(path)}" for kind, path in value]
        elif spec.kind is OptionKind.SIZE:
            lines.append(f'{spec.name} = "{value // 1024}K"')
        else:
            lines.append(f"{spec.name} = {_toml(value)}")
    tables = ["[model]", *pairs] if pairs else []
    return "\n".join([*lines, *tables]) + "\n"


def _toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    text = str(value)
    if isinstance(value, Path):
        text = address_of(value) or str(value.absolute())
    return json.dumps(text, ensure_ascii=False)


async def _pass_on(pieces: AsyncIterator[str], say: Callable[[str], None]) -> None:
    """Say each line when it is whole."""
    rest = ""
    async for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            say(_unnamed(line.rstrip("\r")))
    if rest:
        say(_unnamed(rest))


def _unnamed(line: str) -> str:
    """Return a line of a command without the name that the one who says it puts before it."""
    return line.removeprefix("facefarm: ")


def _client(address: str) -> Any:
    try:
        from ray.job_submission import JobSubmissionClient

        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        return JobSubmissionClient(address)
    except (ImportError, RuntimeError) as error:
        if "ray[default]" not in str(error) and not isinstance(error, ImportError):
            raise
        raise SetupError(
            "sending jobs needs Ray's job client: run"
            " `pip install --no-deps -r requirements/cluster.txt`"
        ) from error
