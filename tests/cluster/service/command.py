"""A service in a process of its own, so that it can be killed.

Not for: a service whose clock is in the test's hands (`test_service.py`).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_LISTENING = re.compile(r"listening on (\S+)")
_LIMIT_S = 60.0


class ServiceProcess:
    """`facefarm serve`, started; end it with `stop` or `kill`."""

    def __init__(self, store: Path, *arguments: object) -> None:
        command = [sys.executable, "-W", "ignore", ROOT / "cli.py", "serve", "--store", store]
        self.process = subprocess.Popen(
            [*map(str, command), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
        self.said: list[str] = []
        self._url: str | None = None
        self._heard = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._heard.wait(_LIMIT_S), self.said
        assert self._url is not None, self.said
        return self._url

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        """Let it drain; returns its exit code."""
        self.process.terminate()
        return self._end()

    def wait(self, limit_s: float) -> int:
        """Wait until it ends by itself."""
        self.process.wait(limit_s)
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(_LIMIT_S)
        self._reader.join(_LIMIT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if match := _LISTENING.search(line):
                self._url = match[1]
                self._heard.set()
        self._heard.set()
