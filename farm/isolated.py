"""Work on files of strangers in a process of its own: a crash or a hang there ends nothing else.

The driver demuxes and decodes no unknown file itself before it was read to the end like this. Not
for: rendering, which happens in workers anyway.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from farm.errors import FarmError, MediaError

STALL_S = 120.0
"""Seconds after which work that says nothing is given up."""
_END_S = 5.0
Progress = Callable[[Any], None]


class IsolatedCall:
    """One call that runs in another process; ask for its messages in order, then for its result."""

    def __init__(
        self, work: Callable[..., Any], *arguments: Any, subject: Path, stall_s: float = STALL_S
    ) -> None:
        """Start the process.

        Args:
            work: A function of a module; it gets a keyword argument `tell`, whose calls prove that
                it goes on.
            arguments: Of it, as far as they can be pickled.
            subject: The file that is read, for messages.
            stall_s: Seconds without a word after which the process is ended.
        """
        self._subject, self._stall_s = subject, stall_s
        self._connection, theirs = _pipe()
        place = Path(__file__).resolve().parent.parent
        paths = [str(place), *([p] if (p := os.environ.get("PYTHONPATH")) else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "farm.isolated", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        theirs.close()
        self._connection.send((work, arguments))

    def message(self) -> Any:
        """Wait for the next thing that the work tells; None where it has ended.

        Raises:
            FarmError: As the work raised it.
            MediaError: The process crashed or hung.
        """
        try:
            if not self._connection.poll(self._stall_s):
                raise MediaError(
                    f"{self._subject}: reading it got nowhere for {self._stall_s:g} s; "
                    "it is damaged or made to do so"
                )
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._crashed() from error
        if kind == "told":
            return value
        self._value = value
        if kind == "raised":
            raise value
        return None

    def result(self, told: Progress | None = None) -> Any:
        """Wait for the end.

        Args:
            told: Called with what the work tells.

        Raises:
            FarmError: As the work raised it.
            MediaError: The process crashed or hung.
        """
        try:
            while (value := self.message()) is not None:
                if told is not None:
                    told(value)
        finally:
            self.close()
        return self._value

    def close(self) -> None:
        """End the process, if it runs still."""
        self._connection.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _crashed(self) -> MediaError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        code = self._process.poll()
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return MediaError(
            f"{self._subject}: reading it made a process crash ({name}); "
            "it is damaged or made to do so"
        )


def isolated(
    work: Callable[..., Any],
    *arguments: Any,
    subject: Path,
    told: Progress | None = None,
    stall_s: float = STALL_S,
) -> Any:
    """Call `work` in a process of its own and return what it returns; see `IsolatedCall`.

    Raises:
        FarmError: As the work raised it.
        MediaError: The process crashed or hung.
    """
    return IsolatedCall(work, *arguments, subject=subject, stall_s=stall_s).result(told)


def _pipe() -> tuple[Connection, Connection]:
    """Both ends of a connection; the second is for the other process."""
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    return ours, theirs


def _serve(connection: Connection) -> None:
    """Do what is asked for in this process."""
    work, arguments = connection.recv()
    try:
        answer = "done", work(*arguments, tell=lambda value: connection.send(("told", value)))
    except FarmError as error:
        answer = "raised", error
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
        text = traceback.format_exc(limit=-3)
        answer = "raised", RuntimeError(f"{type(error).__name__}: {error}\n{text}")
    with suppress(BrokenPipeError):
        connection.send(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends this process
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        _serve(Connection(int(sys.argv[1])))
