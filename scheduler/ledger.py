"""The ledger: the durable record in a job's folder of what was asked, what is done, and who drives.

An SQLite file with a rollback journal (its write-ahead log does not work on network file systems).
One driver at a time: a lease with a heartbeat that counts, so that clocks need not agree. What is
told of chunks is written about once a second; a chunk file that has no row yet proves itself.
Not for: the chunk files (`farm.job_folder`) or deciding what is rendered (`scheduler.dispatch`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from farm.errors import JobError, SettingsError
from scheduler.driver_lease import DriverLease
from scheduler.ledger_file import LedgerFile
from scheduler.ledger_records import AttemptNote, JobVersion, StoredChunk, Stretch
from scheduler.ledger_tables import LEDGER_NAME, differences

_WRITE_S = 1.0


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
        self._notes: list[AttemptNote] = []
        self._stored: list[StoredChunk] = []
        self._written_s = now()
        self._closed = False
        self._job_id = ""
        self.run = 0
        """Counts the drivers that this folder has had."""

    def __enter__(self) -> Ledger:
        """Take the lease.

        Raises:
            BusyError: Another driver has it.
            JobError: The ledger cannot be read or written.
        """
        self._file = LedgerFile(self.path)
        self._lease = DriverLease(self._file, self._say)
        try:
            self._lease.take(self._now, self._wait, self._begin_run)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lease back; see `close`."""
        self.close()

    def close(self) -> None:
        """Write what is not written and give the lease back; closing again does nothing."""
        if self._closed:
            return
        self._job_id = self.job_id
        self._closed = True
        try:
            with suppress(JobError):  # A full disk: chunk files prove themselves.
                self.flush()
            self._lease.give_back()
        finally:
            self._file.close()

    @property
    def job_id(self) -> str:
        """Names the job for `facefarm jobs`."""
        return self._job_id or str(self._file.fact("id"))

    @property
    def lost(self) -> bool:
        """Whether another driver took the job over."""
        return self._lease.lost

    @property
    def listed(self) -> bool:
        """Whether its frames are known to need a listing."""
        return self._file.fact("listed") == "yes"

    def note_listed(self) -> None:
        """Note that the index alone did not tell the frames."""
        self._file.set_fact("listed", "yes")

    @property
    def state(self) -> str:
        """`rendering` or `finished`."""
        return str(self._file.fact("state"))

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
        with self._file.transaction():
            if stretch is None and replan:
                self._file.rows("DELETE FROM stretches")
            self._file.rows(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?)",
                (version.fingerprint, json.dumps(version.identity), json.dumps(version.settings)),
            )
            self._file.set_fact("state", "rendering")
            if stretch is None:
                self._file.set_fact("base", version.fingerprint)
            else:
                self._file.rows(
                    "INSERT INTO stretches (chunk_start, chunk_stop, fingerprint) VALUES (?, ?, ?)",
                    (stretch.chunk_start, stretch.chunk_stop, stretch.fingerprint),
                )

    @property
    def base_fingerprint(self) -> str:
        """Of the version that holds where no stretch says otherwise; empty for a new folder."""
        return str(self._file.fact("base") or "")

    def versions(self) -> dict[str, JobVersion]:
        """Return everything that was asked for here, by fingerprint."""
        return {
            row[0]: JobVersion(
                fingerprint=row[0], identity=json.loads(row[1]), settings=json.loads(row[2])
            )
            for row in self._file.rows("SELECT fingerprint, identity, settings FROM versions")
        }

    def stretches(self) -> list[Stretch]:
        """Return the stretches with settings of their own, in the order of their asking."""
        query = "SELECT chunk_start, chunk_stop, fingerprint FROM stretches ORDER BY number"
        return [
            Stretch(chunk_start=row[0], chunk_stop=row[1], fingerprint=row[2])
            for row in self._file.rows(query)
        ]

    def chunks(self) -> dict[int, StoredChunk]:
        """Return the chunks that are done, by number."""
        return {
            row[0]: StoredChunk(chunk_index=row[0], fingerprint=row[1], token=row[2], sha256=row[3])
            for row in self._file.rows("SELECT chunk_index, fingerprint, token, sha256 FROM chunks")
        }

    def attempts(self) -> list[AttemptNote]:
        """Return all that happened to attempts, in order."""
        query = "SELECT token, chunk_index, worker, node, outcome FROM attempts ORDER BY number"
        return [
            AttemptNote(token=r[0], chunk_index=r[1], worker=r[2], node=r[3], outcome=r[4])
            for r in self._file.rows(query)
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
        with self._file.transaction():
            self._file.many(
                "DELETE FROM chunks WHERE chunk_index = ?", [(each,) for each in chunk_indices]
            )

    def finish(self) -> None:
        """Note that the output is in place."""
        self.flush()
        self._file.set_fact("state", "finished")

    def check_lease(self) -> None:
        """See that this process still drives the job.

        Raises:
            JobError: Another driver took over, because this one stood still for long.
        """
        if self._lease.lost:
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
        with self._file.transaction():
            self._lease.check()
            self.check_lease()
            self._file.many(
                "INSERT INTO attempts (token, chunk_index, worker, node, outcome, noted)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (n.token, n.chunk_index, n.worker, n.node, n.outcome, _utc())
                    for n in self._notes
                ],
            )
            self._file.many(
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
        with self._file.transaction():
            for table in ("chunks", "stretches", "versions"):
                self._file.rows(f"DELETE FROM {table}")

    def _refusal(self, before: JobVersion, after: JobVersion) -> str:
        """Say what differs, and what to do."""
        different = differences(before.identity, after.identity)
        shown = "; ".join(different[:4]) or "the frames to render"
        more = f"; and {len(different) - 4} more" if len(different) > 4 else ""
        return (
            f"{self.path.parent}: holds finished chunks of a job that differs: {shown}{more}; "
            "go on with what it was, give another --job-dir, or throw them away with --replan"
        )

    def _begin_run(self) -> None:
        """Note that one more driver works here, and name the job if it is new."""
        if self._file.fact("id") is None:
            self._file.set_fact("id", secrets.token_hex(4))
            self._file.set_fact("created", _utc())
            self._file.set_fact("state", "rendering")
        self.run = 1 + int(self._file.fact("run") or 0)
        self._file.set_fact("run", str(self.run))


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
