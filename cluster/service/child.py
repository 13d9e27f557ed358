"""The process in which the service runs one job.

It reads the option values from its first line of input and writes events to its output, one JSON
object a line. Further lines of input are orders; when the input ends, the service is gone and the
job stops at once, so that another service can go on with it.
Not for: choosing jobs (`cluster.service.service`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from farm.command import CommandResult
from farm.errors import FarmError, Interrupted
from farm.report import Stage
from farm.stop import StopRequest

DRAIN, STOP = "drain", "stop"
"""Orders: finish the chunks in hand; stop at once. Both keep finished chunks."""


class EventWriter:
    """An observer that writes what a render tells as events."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Write the stage."""
        self.write("stage", stage=stage.value, detail=detail)

    def planned(
        self, frames: int, chunks: int, workers: int, provider: str, threads: int, encoder: str
    ) -> None:
        """Write the plan."""
        self.write("planned", frames=frames, chunks=chunks, workers=workers, encoder=encoder)

    def frames_done(self, count: int) -> None:
        """Write the number of frames."""
        self.write("frames", count=count)

    def busy(self, stage_s: Mapping[str, float]) -> None:
        """Seconds of stages are not shown."""

    def note(self, message: str) -> None:
        """Write the note."""
        self.write("note", message=message)

    def write(self, event: str, **values: object) -> None:
        """Write one event."""
        print(json.dumps({"event": event, **values}), file=self._stream, flush=True)


def main() -> int:
    """Run the job that is described on the input and return its exit code."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else a library prints goes to the log
    writer = EventWriter(events)
    values = json.loads(sys.stdin.readline())
    stop = StopRequest()
    signal.signal(signal.SIGINT, lambda *_: stop.press())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the service says what is to be done
    threading.Thread(target=_listen, name="orders", daemon=True).start()
    exit_code, message = _run(values, writer, stop)
    writer.write("result", exit_code=exit_code, message=message)
    return exit_code


def _run(values: Mapping[str, Any], writer: EventWriter, stop: StopRequest) -> tuple[int, str]:
    """Exit code and message of a render, as the command line would have them."""
    try:
        result = _render(values, writer, stop)
    except (KeyboardInterrupt, Interrupted):
        return Interrupted.exit_code, "interrupted"
    except FarmError as error:
        return error.exit_code, error.message
    except Exception as error:  # noqa: BLE001 - the last catch of this process
        return 1, f"{type(error).__name__}: {error}"
    if result.error is not None:
        return result.error.exit_code, result.error.message
    return result.exit_code, ""


def _render(values: Mapping[str, Any], writer: EventWriter, stop: StopRequest) -> CommandResult:
    from cluster.commands import render
    from farm.options import collect
    from farm.settings import RenderSettings

    settings: RenderSettings = collect(RenderSettings, values)
    return render(settings=settings, observer=writer, stop=stop)


def _listen() -> None:
    """Turn orders into the signals that Ctrl-C would give."""
    for line in sys.stdin:
        os.kill(os.getpid(), signal.SIGINT)
        if line.strip() == STOP:
            os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
