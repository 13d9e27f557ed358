"""The process in which the service runs one job.

It reads the job from its first line of input and writes events to its output, one JSON object a
line; what happens goes to the job's log too, which is its error output. Further lines of input are
orders; when the input ends, the service is gone and the job stops at once, so that another service
can go on with it.
Not for: choosing jobs (`cluster.service.service`) or using what earlier attempts left
(`cluster.service.attempt`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TextIO

from farm.command import CommandResult
from farm.errors import FarmError, Interrupted
from farm.observer import WorkerProgress
from farm.report import Stage
from farm.stop import StopRequest

DRAIN, STOP = "drain", "stop"
"""Orders: finish the chunks in hand; stop at once. Both keep finished chunks."""
_AGAIN_S = 0.2
_ORPHAN_S = 60.0
"""A job that goes on for so long after it was to stop is killed."""


class EventWriter:
    """An observer that writes what a render tells as events, and what matters to the log."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream = stream
        self._log = log
        self._stage: Stage | None = None

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Write the stage."""
        self.write("stage", stage=stage.value, detail=detail)
        if stage is not self._stage:
            self._stage = stage
            self.log(f"{stage.value} {detail}".rstrip())

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """Write the plan."""
        self.write("planned", frames=frames, chunks=chunks, workers=workers, encoder=encoder)
        self.log(
            f"{frames} frames in {chunks} chunks, {workers} workers ({provider}, {threads}"
            f" threads), {encoder}"
        )

    def frames_done(self, count: int) -> None:
        """Write the number of frames."""
        self.write("frames", count=count)

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Seconds of stages are not shown."""

    def workers(self, workers: tuple[WorkerProgress, ...]) -> None:
        """Write what the workers do."""
        self.write("workers", workers=[asdict(worker) for worker in workers])

    def note(self, message: str) -> None:
        """Write the note."""
        self.write("note", message=message)
        self.log(message)

    def write(self, event: str, **values: object) -> None:
        """Write one event."""
        print(json.dumps({"event": event, **values}), file=self._stream, flush=True)

    def log(self, message: str) -> None:
        """Write a line of the log."""
        print(f"{datetime.now().astimezone():%H:%M:%S} {message}", file=self._log, flush=True)


def main() -> int:
    """Run the job that is described on the input and return its exit code."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else a library prints goes to the log
    writer = EventWriter(events, sys.stderr)
    job = json.loads(sys.stdin.readline())
    stop = StopRequest()
    signal.signal(signal.SIGINT, lambda *_: stop.press())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the service says what is to be done
    threading.Thread(target=_listen, name="orders", daemon=True).start()
    exit_code, message = _run(job, writer, stop)
    writer.log(f"ended with exit code {exit_code}{message and f': {message}'}")
    writer.write("result", exit_code=exit_code, message=message)
    return exit_code


def _run(job: Mapping[str, Any], writer: EventWriter, stop: StopRequest) -> tuple[int, str]:
    """Exit code and message of a render, as the command line would have them."""
    try:
        result = _render(job, writer, stop)
    except (KeyboardInterrupt, Interrupted):
        return Interrupted.exit_code, "interrupted"
    except FarmError as error:
        return error.exit_code, error.message
    except Exception as error:  # noqa: BLE001 - the last catch of this process
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}"
    if result.error is not None:
        return result.error.exit_code, result.error.message
    return result.exit_code, ""


def _render(job: Mapping[str, Any], writer: EventWriter, stop: StopRequest) -> CommandResult:
    from cluster.commands import render
    from cluster.service.attempt import attempt
    from farm.options import collect
    from farm.settings import RenderSettings

    settings: RenderSettings = collect(RenderSettings, job["values"])
    return attempt(
        settings,
        lambda asked: render(settings=asked, observer=writer, stop=stop),
        writer,
        owns_output=job["owns_output"],
    )


def _listen() -> None:
    """Turn orders into the signals that Ctrl-C would give."""
    for line in sys.stdin:
        if line.strip() == STOP:
            break
        os.kill(os.getpid(), signal.SIGINT)
    _stop()


def _stop() -> None:
    """Press Ctrl-C until it is heard: two signals that come at once count as one."""
    deadline = time.monotonic() + _ORPHAN_S
    while time.monotonic() < deadline:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_AGAIN_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
