"""The tables of the queue's SQLite file, and how an older file becomes a newer one.

`PRAGMA user_version` holds the number of migrations that a file has seen. A migration is never
changed once it was released. Not for: what the rows mean (`scheduler.queue.store`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farm.errors import InputError, JobError

_BUSY_S = 30.0
MIGRATIONS = (
    """
    CREATE TABLE jobs (
        job_id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL,
        outcome TEXT,
        request TEXT,
        target TEXT NOT NULL,
        output TEXT NOT NULL,
        job_values TEXT NOT NULL,
        digest TEXT NOT NULL,
        priority INTEGER NOT NULL,
        position REAL NOT NULL,
        tag TEXT NOT NULL,
        tags TEXT NOT NULL,
        windows TEXT NOT NULL,
        not_before REAL NOT NULL,
        pending INTEGER NOT NULL,
        added REAL NOT NULL,
        started REAL,
        ended REAL,
        attempts INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        lease_until REAL,
        exit_code INTEGER,
        message TEXT NOT NULL DEFAULT '',
        progress TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX jobs_in_turn ON jobs (state, priority DESC, tag, position);
    CREATE INDEX jobs_listed ON jobs (state, priority DESC, position);
    CREATE INDEX jobs_held ON jobs (state, pending, windows, not_before);
    CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'running';
    CREATE INDEX jobs_digest ON jobs (digest);
    CREATE UNIQUE INDEX jobs_output ON jobs (output) WHERE state != 'ended';
    CREATE TABLE job_after (
        job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        after_id INTEGER NOT NULL,
        PRIMARY KEY (job_id, after_id)
    ) WITHOUT ROWID;
    CREATE INDEX job_after_reverse ON job_after (after_id);
    CREATE TABLE job_history (
        job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        at REAL NOT NULL,
        who TEXT NOT NULL,
        what TEXT NOT NULL,
        why TEXT NOT NULL
    );
    CREATE INDEX job_history_of ON job_history (job_id);
    CREATE TABLE deliveries (
        delivery_id INTEGER PRIMARY KEY,
        job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        hook TEXT NOT NULL,
        tries INTEGER NOT NULL,
        due REAL NOT NULL
    );
    CREATE INDEX deliveries_due ON deliveries (due);
    CREATE TABLE schedules (
        name TEXT PRIMARY KEY,
        rule TEXT NOT NULL,
        request TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        last_fire REAL NOT NULL,
        next_fire REAL,
        message TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE INDEX schedules_due ON schedules (enabled, next_fire);
    CREATE TABLE tag_turns (tag TEXT PRIMARY KEY, turn INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE window_texts (windows TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE job_counts (
        state TEXT NOT NULL,
        outcome TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (state, outcome)
    ) WITHOUT ROWID;
    CREATE TRIGGER count_added AFTER INSERT ON jobs BEGIN
        INSERT INTO job_counts VALUES (new.state, coalesce(new.outcome, ''), 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    CREATE TRIGGER count_removed AFTER DELETE ON jobs BEGIN
        UPDATE job_counts SET jobs = jobs - 1
            WHERE state = old.state AND outcome = coalesce(old.outcome, '');
    END;
    CREATE TRIGGER count_changed AFTER UPDATE OF state, outcome ON jobs BEGIN
        UPDATE job_counts SET jobs = jobs - 1
            WHERE state = old.state AND outcome = coalesce(old.outcome, '');
        INSERT INTO job_counts VALUES (new.state, coalesce(new.outcome, ''), 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    """,
    """
    ALTER TABLE jobs ADD COLUMN owns_output INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
    """,
)
_ADVICE = {
    "SQLITE_BUSY": f"another process has held it for {_BUSY_S:.0f} s; try again",
    "SQLITE_FULL": "free its disk",
    "SQLITE_IOERR": "free its disk, or see whether it still works",
    "SQLITE_READONLY": "make the file and its folder writable",
    "SQLITE_CANTOPEN": "make the file and its folder writable",
    "SQLITE_CORRUPT": "restore it from a copy, or name another file with --store",
    "SQLITE_NOTADB": "name another file with --store",
}
"""By the beginning of the names of SQLite's errors."""
_WRONG_FILE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class QueueConnection(sqlite3.Connection):
    """A connection whose errors say what to do."""

    path: Path

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement.

        Raises:
            InputError: It is no queue, or damaged.
            JobError: It cannot be read or written now.
        """
        try:
            return super().execute(*arguments)
        except sqlite3.DatabaseError as error:
            raise _said(self.path, error) from error

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run one statement for many rows.

        Raises:
            InputError: It is no queue, or damaged.
            JobError: It cannot be written now.
        """
        try:
            return super().executemany(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise _said(self.path, error) from error


def open_database(path: Path) -> QueueConnection:
    """Open the file, made or brought up to date where needed; the caller closes it.

    Raises:
        InputError: It cannot be opened, is no such file, or was written by a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(
            path,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            factory=QueueConnection,
        )
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"{path}: cannot be used as a queue ({error}); name another file with --store"
        ) from error
    base.path = path
    base.row_factory = sqlite3.Row
    try:
        _prepare(base)
    except BaseException:
        base.close()
        raise
    return base


@contextmanager
def writing(base: QueueConnection) -> Iterator[None]:
    """One change of the file: all of it happens or nothing.

    Raises:
        JobError: It cannot be written (the disk is full, say).
    """
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:  # some errors of SQLite have ended it already
            base.execute("ROLLBACK")
        raise


def _said(path: Path, error: sqlite3.DatabaseError) -> InputError | JobError:
    """What SQLite cannot do, in the farm's words: the wrong file, or one that may get well."""
    name = getattr(error, "sqlite_errorname", "")
    advice = next((text for begin, text in _ADVICE.items() if name.startswith(begin)), "try again")
    kind = InputError if name.startswith(_WRONG_FILE) else JobError
    return kind(f"{path}: the queue cannot be used ({error}); {advice}")


def _prepare(base: QueueConnection) -> None:
    """Set the connection up and bring an older file up to date; several may try at once.

    A file that is up to date is only read.
    """
    version = _checked_version(base)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute("PRAGMA foreign_keys = ON")
    if version == len(MIGRATIONS):
        return
    with writing(base):
        for text in MIGRATIONS[_checked_version(base) :]:
            for statement in _statements(text):
                base.execute(statement)
        base.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _checked_version(base: QueueConnection) -> int:
    """How many migrations the file has seen.

    Raises:
        InputError: More than are known here.
    """
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise InputError(
            f"{base.path}: was written by a newer facefarm (version {version} of the store, this"
            f" one knows {len(MIGRATIONS)}); use that facefarm, or another file with --store"
        )
    return int(version)


def _statements(text: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
