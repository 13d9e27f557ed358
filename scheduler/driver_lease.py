"""The driver's lease: one driver at a time works on a job's folder.

Its heartbeat counts, so that clocks need not agree: a driver on another machine is dead when the
count stands still, one on this machine when its process is gone.
Not for: what the driver notes (`scheduler.ledger`).
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil

from farm.errors import BusyError, JobError
from scheduler.ledger_file import BUSY_S, LedgerFile, connect
from scheduler.ledger_tables import LEDGER_NAME

BEAT_S = 5.0
SILENCE_S = 20.0
"""A driver on another machine whose heartbeat does not move for this long is dead."""


class DriverLease:
    """The lease of this process on one ledger."""

    def __init__(self, file: LedgerFile, say: Callable[[str], None]) -> None:
        """Take the ledger's file, which the caller closes.

        Args:
            file: Used on the thread that calls.
            say: Told when the lease of a dead driver is waited for.
        """
        self._file, self._say = file, say
        self._holder = f"{_machine()} {os.getpid()} {_born(os.getpid())} {secrets.token_hex(8)}"
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.lost = False
        """Whether another driver has taken it."""

    def take(
        self,
        now: Callable[[], float],
        wait: Callable[[float], object],
        taken: Callable[[], None],
    ) -> None:
        """Take the lease if nobody has it, or from a driver that is dead, and keep it alive.

        Args:
            now: Seconds from anywhere.
            wait: Waits so many seconds.
            taken: Called in the transaction that takes it.

        Raises:
            BusyError: Another driver has it.
        """
        seen: tuple[str, int] | None = None
        since = now()
        while not self._try(seen if now() - since >= SILENCE_S else None, taken):
            found = self._read()
            if found is None:
                continue  # it was given back meanwhile
            self._refuse(found, seen)
            seen = found
            wait(1.0)
        self._beating.start()

    def give_back(self) -> None:
        """Stop the heartbeat and let others take the lease."""
        self._ended.set()
        self._beating.join()
        if not self.lost:
            with suppress(JobError):  # a full disk: nobody needs to wait for a dead process
                self._file.rows("DELETE FROM lease WHERE holder = ?", (self._holder,))

    def check(self) -> None:
        """Look into the ledger whether this process still has it; see `lost`."""
        found = self._read()
        self.lost = self.lost or found is None or found[0] != self._holder

    def _try(self, silent: tuple[str, int] | None, taken: Callable[[], None]) -> bool:
        """Take it unless a living driver has it; `silent` is one whose heartbeat stands still."""
        with self._file.transaction():
            found = self._read()
            if found is not None and not _is_dead(found[0]) and found != silent:
                return False
            self._file.rows("DELETE FROM lease")
            self._file.rows("INSERT INTO lease VALUES (?, 0)", (self._holder,))
            taken()
        return True

    def _refuse(self, found: tuple[str, int], seen: tuple[str, int] | None) -> None:
        """Refuse to wait for a driver that lives."""
        folder, machine = self._file.path.parent, found[0].split()[0]
        advice = "wait for it, or give another --job-dir"
        if machine == _machine():
            pid = found[0].split()[1]
            raise BusyError(f"{folder}: process {pid} works on this job; {advice}")
        if seen is None:
            self._say(f"{folder}: asking whether {machine} still drives it")
        elif seen != found:
            raise BusyError(f"{folder}: a command on {machine} works on this job; {advice}")

    def _read(self) -> tuple[str, int] | None:
        rows = self._file.rows("SELECT holder, beat FROM lease")
        return (str(rows[0][0]), int(rows[0][1])) if rows else None

    def _beat(self) -> None:
        """Move the heartbeat until the end; note when the lease is somebody else's."""
        with closing(connect(self._file.path)) as base:
            while not self._ended.wait(BEAT_S):
                # A full disk or a network that hangs: the next beat may get through.
                with suppress(sqlite3.Error):
                    moved = base.execute(
                        "UPDATE lease SET beat = beat + 1 WHERE holder = ?", (self._holder,)
                    ).rowcount
                    self.lost = self.lost or moved == 0


def is_driven(folder: Path) -> bool:
    """Tell whether a driver may be at work on a job: one of this machine that lives, or another's.

    Raises:
        JobError: The ledger cannot be read.
    """
    path = folder / LEDGER_NAME
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)) as base:
            row = base.execute("SELECT holder FROM lease").fetchone()
    except sqlite3.Error as error:
        raise JobError(f"{path}: cannot be read ({error})") from error
    return row is not None and not _is_dead(row[0])


def _is_dead(holder: str) -> bool:
    """Tell whether a holder was a process of this machine that is no more."""
    machine, pid, born, _ = holder.split()
    return machine == _machine() and _born(int(pid)) != born


def _machine() -> str:
    """Return what tells this machine, as it was started, from others."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()}/{boot}"
    return socket.gethostname()


def _born(pid: int) -> str:
    """Return when a process was started, so that a number that is used again is told apart."""
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return "never"
