"""The command in a process of its own, so that it can be interrupted and killed.

Not for: renders that a test can run in its own process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
_MARK = "RENDER_TEST_MARK"
_LIMIT_S = 60.0


class Command:
    """One `facefarm`, in a session and with a temporary folder of its own; a slow render."""

    def __init__(
        self,
        source: Path,
        output: Path,
        temporary: Path,
        arguments: Sequence[str | Path] | None = None,
    ) -> None:
        """Start it; `arguments` are those of another command."""
        self.output = output
        self.job_dir = output.with_name(f".{output.name}.facefarm")
        self.temporary = temporary
        self.mark = uuid.uuid4().hex
        slow = ("--video-encoder", "libvpx-vp9", "--chunk-seconds", "0.1", "--workers", "2")
        render = ("render", "-t", source, "-o", output, "--frame-processor", "none", *slow)
        environment = os.environ | {_MARK: self.mark, "TMPDIR": str(temporary)}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `result`
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "cli.py", *(arguments or render)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )

    def chunks(self) -> list[str]:
        """Names of the chunks that are finished."""
        return sorted(path.name for path in self.job_dir.glob("*.chunk"))

    def said(self) -> str:
        """Everything that it wrote to stderr so far."""
        return os.pread(self._said.fileno(), 1 << 20, 0).decode()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of the running command."""
        give_up = time.monotonic() + _LIMIT_S
        while not condition():
            assert time.monotonic() < give_up, self.said()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                raise AssertionError(f"the command ended: {self.said()}")

    def press_ctrl_c(self) -> None:
        """Interrupt it as a terminal does: every process of its group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def result(self) -> tuple[int, str]:
        """Wait for its end: exit code and stderr."""
        code = self.process.wait(_LIMIT_S)
        said = self.said()
        self._said.close()
        return code, said

    def family(self) -> list[psutil.Process]:
        """The processes that it started, by a variable in their environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self.mark:
                    found.append(process)
        return found


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a name short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="fft-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
