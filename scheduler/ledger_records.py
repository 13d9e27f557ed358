"""What the ledger holds, as records.

Not for: reading or writing them (`scheduler.ledger`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
