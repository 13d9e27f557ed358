"""Sessions of hardware encoders: drivers allow only so many at once, and do not say how many.

Processes of the farm on one machine note the sessions that they hold. One that gets none waits
until another of them gives one back, instead of failing; where none is held, the failure is real.
Not for: sessions of other programs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from farm.errors import EncoderError

Opened = TypeVar("Opened")
LIMITED_FAMILIES = frozenset({"nvenc"})
"""Families whose drivers count sessions."""
PATIENCE_S = 120.0
_LOOK_S = 0.05


class Session:
    """The note of one session, which the system forgets when its process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def give_back(self) -> None:
        """Let others have it; doing so again changes nothing."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def __del__(self) -> None:
        """Give back what belongs to an encoder that was given up in the middle."""
        self.give_back()


def open_in_turn(
    family: str,
    open_encoder: Callable[[], Opened],
    folder: Path | None = None,
    patience_s: float = PATIENCE_S,
) -> tuple[Opened, Session]:
    """Open an encoder, waiting for a session of another process of the farm where it takes that.

    Args:
        family: Of the encoder.
        open_encoder: Opens it, or raises.
        folder: Where sessions are noted; None for the usual place.
        patience_s: How long sessions of others are waited for: they may not be the reason.

    Raises:
        EncoderError: It does not open although no other session is held, or for too long.
    """
    folder = folder or _usual_folder()
    if not folder.is_dir():  # the first session ever, or no such hardware
        opened = open_encoder()
        folder.mkdir(mode=0o700, exist_ok=True)
        return opened, _note(folder, family)
    until, again = time.monotonic() + patience_s, True
    while True:
        with _alone(folder):
            try:
                opened = open_encoder()
            except EncoderError as error:
                other = next(_held(folder, family), None)
                hopeless = _has_no_driver(error) or time.monotonic() >= until
                if hopeless or (other is None and not again):
                    raise
                again = other is not None  # one may have been given back just now
            else:
                return opened, _note(folder, family)
        if other is not None:
            _wait_for(other, until)


def _has_no_driver(error: EncoderError) -> bool:
    """Whether the driver itself is missing, which no session of others explains."""
    return getattr(error.__cause__, "errno", None) == errno.EPERM


def _usual_folder() -> Path:
    """A folder of this user on this machine."""
    return Path(tempfile.gettempdir()) / f"facefarm-sessions-{os.getuid()}"


def _note(folder: Path, family: str) -> Session:
    return Session(folder / f"{family}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else opens a session meanwhile."""
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _held(folder: Path, family: str) -> Iterator[Path]:
    """Notes of sessions that are held; those of dead processes are deleted."""
    for path in folder.glob(f"{family}-*"):
        with suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path
            else:
                path.unlink(missing_ok=True)


def _wait_for(path: Path, until: float) -> None:
    """Wait until a session is given back, or until a time of the monotonic clock."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_LOOK_S)
