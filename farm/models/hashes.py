"""SHA-256 of model files, remembered by path, size and time so that each is read only once.

Not for: hashes of videos, which are made while they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from pathlib import Path

log = logging.getLogger(__name__)

MEMORY_NAME = ".sha256.json"
_known: dict[str, str] = {}


def sha256_of(path: Path) -> str:
    """Lower-case hexadecimal SHA-256 of the file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: Path, memory_dir: Path) -> str:
    """SHA-256 of the file; read only when its path, size or modification time is new.

    Args:
        path: The file.
        memory_dir: Directory whose `MEMORY_NAME` remembers hashes between runs; it need not exist
            or be writable.
    """
    key = _key(path)
    if key not in _known:
        _known.update(_read(memory_dir))
    if key not in _known:
        _known[key] = sha256_of(path)
        _write(memory_dir, key)
    return _known[key]


def refreshed_sha256(path: Path, memory_dir: Path) -> str:
    """SHA-256 of the file as it is now, whatever is remembered, and remember that."""
    key = _key(path)
    _known[key] = sha256_of(path)
    _write(memory_dir, key)
    return _known[key]


def _key(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _read(memory_dir: Path) -> dict[str, str]:
    """What the directory remembers; nothing when it cannot be read."""
    try:
        found = json.loads((memory_dir / MEMORY_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _write(memory_dir: Path, key: str) -> None:
    """Remember one more hash; a race with another process loses at most one entry."""
    if not memory_dir.is_dir():
        return
    temporary = memory_dir / f"{MEMORY_NAME}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        text = json.dumps({**_read(memory_dir), key: _known[key]}, indent=1)
        temporary.write_text(text, "utf-8")
        temporary.replace(memory_dir / MEMORY_NAME)
    except OSError as error:
        log.debug("the hash of %s is not remembered: %s", key, error)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
