"""The ledger: the durable record in a job's folder of what was asked, what is done, and who drives.

An SQLite file with a rollback journal (its write-ahead log does not work on network file systems).
One driver at a time: a lease with a heartbeat that counts, so that clocks need not agree. What is
told of chunks is written about once a second; a chunk file that has no row yet proves itself.
Not for: the chunk files (`farm.job_folder`) or deciding what is rendered (`scheduler.dispatch`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from farm.errors import JobError, SettingsError
from scheduler.ledger_tables import LEDGER_NAME, TABLES, differences

BEAT_S = 5.0
SILENCE_S = 20.0
"""A driver on another machine whose heartbeat does not move for this long is dead."""
_WRITE_S = 1.0
_BUSY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobVersion:
    """What the pixels of (a stretch of) a job depend on."""

    fingerprint: str
    identity: Mapping[str, Any]
    """The parts that the fingerprint is made of, as JSON holds them."""
    settings: Mapping[str, Any]
    """What was asked for, as JSON holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A finished chunk as the ledger knows it."""

    chunk_index: int
    fingerprint: str
    token: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptNote:
    """One thing that happened to an attempt."""

    token: int
    chunk_index: int
    worker: int
    node: str
    outcome: str
    """"sent" or how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Chunks that are rendered with settings of their own."""

    chunk_start: int
    chunk_stop: int
    fingerprint: str


class Ledger:
    """The ledger of one job folder, held by this process. Use as a context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take a folder that exists; entering takes the lease.

        Args:
            folder: The job's folder.
            say: Told when the lease of a dead driver is waited for.
            now: Seconds from anywhere.
            wait: Waits so many seconds.
        """
        self.path = folder / LEDGER_NAME
        self._say, self._now, self._wait = say, now, wait
        self._holder = f"{_machine()} {os.getpid()} {_born(os.getpid())} {secrets.token_hex(8)}"
        self._notes: list[AttemptNote] = []
        self._stored: list[StoredChunk] = []
        self._written_s = now()
        self._ended = threading.Event()
        self._lost = False
        self._job_id = ""
        self.run = 0
        """Counts the drivers that this folder has had."""

    def __enter__(self) -> Ledger:
        """Take the lease.

        Raises:
            JobError: Another driver has it, or the ledger cannot be read or written.
        """
        with self._errors():
            self._base = _connect(self.path)
            try:
                with self._transaction():
                    for table in TABLES:
                        self._base.execute(table)
                self._take_lease()
            except BaseException:
                self._base.close()
                raise
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lease back; see `close`."""
        self.close()

    def close(self) -> None:
        """Write what is not written and give the lease back; closing again does nothing."""
        if self._ended.is_set():
            return
        self._job_id = self.job_id
        self._ended.set()
        self._beating.join()
        try:
            if not self._lost:
                with suppress(JobError):  # A full disk: chunk files prove themselves.
                    self.flush()
                with suppress(sqlite3.Error):
                    self._base.execute("DELETE FROM lease WHERE holder = ?", (self._holder,))
        finally:
            self._base.close()

    @property
    def job_id(self) -> str:
        """Names the job for `facefarm jobs`."""
        return self._job_id or str(self._fact("id"))

    @property
    def lost(self) -> bool:
        """Whether another driver took the job over."""
        return self._lost

    @property
    def listed(self) -> bool:
        """Whether its frames are known to need a listing."""
        return self._fact("listed") == "yes"

    def note_listed(self) -> None:
        """Note that the index alone did not tell the frames."""
        self._set_fact("listed", "yes")

    @property
    def state(self) -> str:
        """`rendering` or `finished`."""
        return str(self._fact("state"))

    def begin(
        self, version: JobVersion, *, replan: bool, has_work: bool, stretch: Stretch | None = None
    ) -> None:
        """Note what is rendered from now on.

        Args:
            version: What was asked for.
            replan: Whether finished work that does not fit may be thrown away.
            has_work: Whether there are finished chunks.
            stretch: Where the version holds, None for all chunks.

        Raises:
            SettingsError: Finished chunks were rendered from something else.
        """
        before = self.versions()
        base = self.base_fingerprint
        if stretch is None and base not in ("", version.fingerprint):
            if has_work and not replan:
                raise SettingsError(self._refusal(before[base], version))
            self._forget_work()
        with self._errors(), self._transaction():
            self._base.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?)",
                (version.fingerprint, json.dumps(version.identity), json.dumps(version.settings)),
            )
            self._put_fact("state", "rendering")
            if stretch is None:
                self._put_fact("base", version.fingerprint)
            else:
                self._base.execute(
                    "INSERT INTO stretches (chunk_start, chunk_stop, fingerprint) VALUES (?, ?, ?)",
                    (stretch.chunk_start, stretch.chunk_stop, stretch.fingerprint),
                )

    @property
    def base_fingerprint(self) -> str:
        """Of the version that holds where no stretch says otherwise; empty for a new folder."""
        return str(self._fact("base") or "")

    def versions(self) -> dict[str, JobVersion]:
        """Return everything that was asked for here, by fingerprint."""
        return {
            row[0]: JobVersion(
                fingerprint=row[0], identity=json.loads(row[1]), settings=json.loads(row[2])
            )
            for row in self._rows("SELECT fingerprint, identity, settings FROM versions")
        }

    def stretches(self) -> list[Stretch]:
        """Return the stretches with settings of their own, in the order of their asking."""
        query = "SELECT chunk_start, chunk_stop, fingerprint FROM stretches ORDER BY number"
        return [
            Stretch(chunk_start=row[0], chunk_stop=row[1], fingerprint=row[2])
            for row in self._rows(query)
        ]

    def chunks(self) -> dict[int, StoredChunk]:
        """Return the chunks that are done, by number."""
        return {
            row[0]: StoredChunk(chunk_index=row[0], fingerprint=row[1], token=row[2], sha256=row[3])
            for row in self._rows("SELECT chunk_index, fingerprint, token, sha256 FROM chunks")
        }

    def attempts(self) -> list[AttemptNote]:
        """Return all that happened to attempts, in order."""
        query = "SELECT token, chunk_index, worker, node, outcome FROM attempts ORDER BY number"
        return [
            AttemptNote(token=r[0], chunk_index=r[1], worker=r[2], node=r[3], outcome=r[4])
            for r in self._rows(query)
        ]

    def note(self, note: AttemptNote) -> None:
        """Note what happened to an attempt."""
        self._notes.append(note)
        self._write_now_and_then()

    def store(self, chunk: StoredChunk) -> None:
        """Note a finished chunk; its file is in place."""
        self._stored.append(chunk)
        self._write_now_and_then()

    def forget(self, chunk_indices: Iterable[int]) -> None:
        """Strike out chunks whose files are no good."""
        with self._errors(), self._transaction():
            self._base.executemany(
                "DELETE FROM chunks WHERE chunk_index = ?", [(each,) for each in chunk_indices]
            )

    def finish(self) -> None:
        """Note that the output is in place."""
        self.flush()
        self._set_fact("state", "finished")

    def check_lease(self) -> None:
        """See that this process still drives the job.

        Raises:
            JobError: Another driver took over, because this one stood still for long.
        """
        if self._lost:
            raise JobError(
                f"{self.path.parent}: another driver took this job over while this one stood "
                "still; what it finishes is not touched from here"
            )

    def flush(self) -> None:
        """Write what was noted.

        Raises:
            JobError: It cannot be written, or the lease is another driver's.
        """
        self.check_lease()
        self._written_s = self._now()
        if not self._notes and not self._stored:
            return
        with self._errors(), self._transaction():
            held = self._base.execute("SELECT holder FROM lease").fetchone()
            self._lost = held is None or held[0] != self._holder
            self.check_lease()
            self._base.executemany(
                "INSERT INTO attempts (token, chunk_index, worker, node, outcome, noted)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (n.token, n.chunk_index, n.worker, n.node, n.outcome, _utc())
                    for n in self._notes
                ],
            )
            self._base.executemany(
                "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)",
                [(c.chunk_index, c.fingerprint, c.token, c.sha256) for c in self._stored],
            )
        self._notes.clear()
        self._stored.clear()

    def _write_now_and_then(self) -> None:
        if self._now() - self._written_s >= _WRITE_S:
            self.flush()

    def _forget_work(self) -> None:
        """Strike out all that was done for other settings."""
        with self._errors(), self._transaction():
            for table in ("chunks", "stretches", "versions"):
                self._base.execute(f"DELETE FROM {table}")

    def _refusal(self, before: JobVersion, after: JobVersion) -> str:
        """Say what differs, and what to do."""
        different = differences(before.identity, after.identity)
        shown = "; ".join(different[:4]) or "the frames to render"
        more = f"; and {len(different) - 4} more" if len(different) > 4 else ""
        return (
            f"{self.path.parent}: holds finished chunks of a job that differs: {shown}{more}; "
            "go on with what it was, give another --job-dir, or throw them away with --replan"
        )

    def _take_lease(self) -> None:
        """Take the lease if nobody has it, or from a driver that is dead."""
        seen: tuple[str, int] | None = None
        since = self._now()
        while True:
            with self._transaction():
                row = self._base.execute("SELECT holder, beat FROM lease").fetchone()
                if (
                    row is None
                    or _is_dead(row[0])
                    or (seen == tuple(row) and self._now() - since >= SILENCE_S)
                ):
                    self._write_lease()
                    return
            if row[0].split()[0] == _machine():
                raise JobError(
                    f"{self.path.parent}: process {row[0].split()[1]} works on this job; wait for "
                    "it, or give another --job-dir"
                )
            if seen is None:
                self._say(f"{self.path.parent}: asking whether {row[0].split()[0]} still drives it")
            elif seen != tuple(row):
                raise JobError(
                    f"{self.path.parent}: a command on {row[0].split()[0]} works on this job; wait "
                    "for it, or give another --job-dir"
                )
            seen = (row[0], row[1])
            self._wait(1.0)

    def _write_lease(self) -> None:
        self._base.execute("DELETE FROM lease")
        self._base.execute("INSERT INTO lease VALUES (?, 0)", (self._holder,))
        if self._base.execute("SELECT 1 FROM facts WHERE name = 'id'").fetchone() is None:
            self._put_fact("id", secrets.token_hex(4))
            self._put_fact("created", _utc())
            self._put_fact("state", "rendering")
        row = self._base.execute("SELECT value FROM facts WHERE name = 'run'").fetchone()
        self.run = 1 + (int(row[0]) if row else 0)
        self._put_fact("run", str(self.run))

    def _beat(self) -> None:
        """Move the heartbeat until the end; note when the lease is somebody else's."""
        with closing(_connect(self.path)) as base:
            while not self._ended.wait(BEAT_S):
                # A full disk or a network that hangs: the next beat may get through.
                with suppress(sqlite3.Error):
                    moved = base.execute(
                        "UPDATE lease SET beat = beat + 1 WHERE holder = ?", (self._holder,)
                    ).rowcount
                    self._lost = self._lost or moved == 0

    def _fact(self, name: str) -> str | None:
        rows = list(self._rows("SELECT value FROM facts WHERE name = ?", (name,)))
        return rows[0][0] if rows else None

    def _set_fact(self, name: str, value: str) -> None:
        with self._errors(), self._transaction():
            self._put_fact(name, value)

    def _put_fact(self, name: str, value: str) -> None:
        self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._base.execute(query, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in the farm's words what SQLite cannot do."""
        try:
            yield
        except sqlite3.Error as error:
            raise JobError(
                f"{self.path}: the ledger cannot be used ({error}); free space there, or give "
                "another --job-dir"
            ) from error


def is_driven(folder: Path) -> bool:
    """Tell whether a driver may be at work on a job: one of this machine that lives, or another's.

    Raises:
        JobError: The ledger cannot be read.
    """
    path = folder / LEDGER_NAME
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_S)) as base:
            row = base.execute("SELECT holder FROM lease").fetchone()
    except sqlite3.Error as error:
        raise JobError(f"{path}: cannot be read ({error})") from error
    return row is not None and not _is_dead(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    base.execute("PRAGMA journal_mode = DELETE")
    base.execute("PRAGMA synchronous = FULL")
    return base


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


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
