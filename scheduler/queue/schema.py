"""The tables of the queue's SQLite file, and how an older file becomes a newer one.

`PRAGMA user_version` holds the number of migrations that a file has seen. A migration is never
changed once it was released. Not for: what the rows mean (`scheduler.queue.store`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, made or brought up to date where needed; the caller closes it.

    Raises:
        InputError: It cannot be opened, is no such file, or was written by a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA foreign_keys = ON")
        _migrate(base, path)
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"{path}: cannot be used as a queue ({error}); name another file with --store"
        ) from error
    return base


@contextmanager
def writing(base: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One change of the file: all of it happens or nothing.

    Raises:
        JobError: It cannot be written (the disk is full, say).
    """
    try:
        base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            base.execute("ROLLBACK")
            raise
        base.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise JobError(f"{path}: the queue cannot be written ({error}); free its disk") from error


def _migrate(base: sqlite3.Connection, path: Path) -> None:
    """Bring an older file up to date; several processes may try at once."""
    base.execute("BEGIN IMMEDIATE")
    try:
        (version,) = base.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise InputError(
                f"{path}: was written by a newer facefarm (version {version} of the store, this one"
                f" knows {len(MIGRATIONS)}); use that facefarm, or another file with --store"
            )
        for text in MIGRATIONS[version:]:
            for statement in _statements(text):
                base.execute(statement)
        base.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        base.execute("ROLLBACK")
        raise
    base.execute("COMMIT")


def _statements(text: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
