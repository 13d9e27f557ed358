"""The tables of a job's ledger, what two versions of a job differ in, reading without a lease.

Not for: writing (`scheduler.ledger`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import JobError

LEDGER_NAME = "ledger.sqlite"
TABLES = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lease (holder TEXT NOT NULL, beat INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS versions (fingerprint TEXT PRIMARY KEY, identity TEXT NOT NULL,"
    " settings TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS stretches (number INTEGER PRIMARY KEY,"
    " chunk_start INTEGER NOT NULL, chunk_stop INTEGER NOT NULL, fingerprint TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS chunks (chunk_index INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL,"
    " token INTEGER NOT NULL, sha256 TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS attempts (number INTEGER PRIMARY KEY, token INTEGER NOT NULL,"
    " chunk_index INTEGER NOT NULL, worker INTEGER NOT NULL, node TEXT NOT NULL,"
    " outcome TEXT NOT NULL, noted TEXT NOT NULL)",
)
_LONG = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """What a folder's ledger says of its job, read by whoever asks."""

    job_id: str
    state: str
    created: str
    chunks_done: int
    attempts: int
    failures: int
    settings: Mapping[str, Any]
    """Of the version that holds where no stretch says otherwise."""
    driven: bool
    """Whether somebody holds the lease."""


def read_summary(folder: Path) -> JobSummary | None:
    """Read what a job's ledger says, None where there is none.

    Raises:
        JobError: It cannot be read.
    """
    path = folder / LEDGER_NAME
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as base:
            return _summary(base)
    except sqlite3.Error as error:
        raise JobError(f"{path}: cannot be read ({error})") from error


def _summary(base: sqlite3.Connection) -> JobSummary:
    facts = dict(base.execute("SELECT name, value FROM facts").fetchall())
    row = base.execute(
        "SELECT settings FROM versions WHERE fingerprint = ?", (facts.get("base", ""),)
    ).fetchone()
    failures = base.execute(
        "SELECT count(*) FROM attempts WHERE outcome NOT IN ('sent', 'done', 'dropped')"
    )
    return JobSummary(
        job_id=facts.get("id", ""),
        state=facts.get("state", ""),
        created=facts.get("created", ""),
        chunks_done=_count(base, "chunks"),
        attempts=int(
            base.execute("SELECT count(*) FROM attempts WHERE outcome = 'sent'").fetchone()[0]
        ),
        failures=int(failures.fetchone()[0]),
        settings=json.loads(row[0]) if row else {},
        driven=_count(base, "lease") > 0,
    )


def _count(base: sqlite3.Connection, table: str) -> int:
    return int(base.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """Say in which parts two versions differ, one text for each."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            text
            for key in (*before, *(key for key in after if key not in before))
            for text in differences(before.get(key), after.get(key), f"{name}.{key}".lstrip("."))
        ]
    if before == after:
        return []
    texts = _short(before), _short(after)
    if max(map(len, texts)) > _LONG:
        return [f"{name} is not the same"]
    return [f"{name} was {texts[0]} and is {texts[1]}"]


def _short(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
