"""The SQLite file of a ledger: connections, transactions, errors, and facts by name.

Not for: what is written (`scheduler.ledger`, `scheduler.driver_lease`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farm.errors import JobError
from scheduler.ledger_tables import TABLES

BUSY_S = 15.0
"""How long somebody who writes is waited for."""


class LedgerFile:
    """One connection to the file, used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            JobError: It cannot be read or written.
        """
        self.path = path
        with self.errors():
            self._base = connect(path)
            try:
                with self.transaction():
                    for table in TABLES:
                        self._base.execute(table)
            except BaseException:
                self._base.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self._base.close()

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Carry out a statement and return what it finds."""
        with self.errors():
            return self._base.execute(query, values).fetchall()

    def many(self, query: str, values: list[tuple[Any, ...]]) -> None:
        """Carry out a statement for each of the values."""
        with self.errors():
            self._base.executemany(query, values)

    def fact(self, name: str) -> str | None:
        """Return a fact, None where nobody has noted it."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return found[0][0] if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Note a fact."""
        self.rows("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all that is done within, or nothing of it."""
        with self.errors():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._base.in_transaction:  # SQLite has ended it itself when the disk is full
                    self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say in the farm's words what SQLite cannot do."""
        try:
            yield
        except sqlite3.Error as error:
            raise JobError(
                f"{self.path}: the ledger cannot be used ({error}); free space there, or give "
                "another --job-dir"
            ) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection that writes at once and durably."""
    base = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    base.execute("PRAGMA journal_mode = DELETE")
    base.execute("PRAGMA synchronous = FULL")
    return base
