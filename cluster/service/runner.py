"""One job of the queue in a process of its own, seen from the service.

Not for: what runs in there (`cluster.service.child`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import farm
from cluster.service.child import DRAIN, STOP
from farm.errors import JobError
from farm.observer import WorkerProgress
from scheduler.queue.records import JobProgress

_ROOT = Path(farm.__file__).resolve().parents[1]
_END_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How the process of a job ended."""

    exit_code: int | None
    """That of the render; None where the process died before it said one."""
    message: str


class JobRunner:
    """A running job. Ask `finished`, then `outcome`; `close` ends it whatever it does."""

    def __init__(
        self,
        values: Mapping[str, Any],
        log_path: Path,
        *,
        owns_output: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the process.

        Args:
            values: Option values of the render.
            log_path: File that gets what the process prints; appended to.
            owns_output: Whether what is under the output's name was made by an earlier attempt.
            clock: Seconds from any start.

        Raises:
            JobError: It cannot be started: the disk of the logs is full, say.
        """
        self._clock = clock
        self._progress = JobProgress()
        self._begun: float | None = None
        self._result: tuple[int, str] | None = None
        self._log_path = log_path
        try:
            self._process = _started(log_path)
        except OSError as error:
            raise JobError(f"{log_path}: a job cannot be started ({error.strerror})") from error
        self._say(json.dumps({"values": dict(values), "owns_output": owns_output}))
        self._reader = threading.Thread(target=self._read, name="events", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return self._progress

    @property
    def finished(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def outcome(self) -> RunEnd:
        """How a finished job ended."""
        code = self._process.wait()
        self._reader.join(_END_S)
        if self._result is not None:
            return RunEnd(exit_code=self._result[0], message=self._result[1])
        said = f"the render process ended with {_name(code)}; its log is {self._log_path}"
        return RunEnd(exit_code=None, message=said)

    def drain(self) -> None:
        """Let it finish the chunks in hand and end."""
        self._say(DRAIN)

    def stop(self) -> None:
        """Let it end at once; finished chunks stay."""
        self._say(STOP)

    def close(self) -> None:
        """End it, kill it where it does not end by itself, and let go of its pipes."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(_END_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _say(self, line: str) -> None:
        """Write a line to the process, which may have gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        """Take events until the process ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            getattr(self, f"_on_{event.pop('event')}")(**event)

    def _on_stage(self, stage: str, detail: str) -> None:
        self._progress = replace(self._progress, stage=stage, detail=detail)

    def _on_planned(self, frames: int, **_: object) -> None:
        self._begun = self._clock()
        self._progress = replace(self._progress, frames=frames, frames_done=0)

    def _on_frames(self, count: int) -> None:
        done = self._progress.frames_done + count
        took_s = self._clock() - (self._begun or self._clock())
        fps = done / took_s if took_s > 0 else 0.0
        self._progress = replace(self._progress, frames_done=done, fps=round(fps, 2))

    def _on_workers(self, workers: list[dict[str, Any]]) -> None:
        told = tuple(WorkerProgress(**worker) for worker in workers)
        self._progress = replace(self._progress, workers=told)

    def _on_note(self, message: str) -> None:
        """Notes are in the log."""

    def _on_result(self, exit_code: int, message: str) -> None:
        self._result = exit_code, message


def _started(log_path: Path) -> subprocess.Popen[str]:
    """The process, with its errors in the log; OSError where there cannot be one."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "cluster.service.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": _python_path()},
            start_new_session=True,
        )


def _python_path() -> str:
    """Where the process finds this very code, in a checkout as well as installed."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_ROOT), *([before] if before else [])])


def _name(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
