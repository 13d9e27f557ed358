"""Where a worker's files go: to a folder that it sees, or to whoever keeps that folder.

Not for: what is in the files (`farm.media.chunk_file`).
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

_MARK = ".facefarm-folder"


class Files(Protocol):
    """Takes finished files."""

    def write(self, path: Path, parts: Sequence[bytes]) -> None:
        """Put a file in place so that it is either whole under its name or not there.

        Raises:
            OSError: The folder cannot be written or the disk is full.
        """


class LocalFiles:
    """A folder that this machine sees."""

    def write(self, path: Path, parts: Sequence[bytes]) -> None:
        """Write a file; see `Files`."""
        write_atomically(path, parts)


def write_atomically(path: Path, parts: Iterable[bytes]) -> None:
    """Write beside `path`, flush to the disk, then rename; nothing is left behind on failure."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def mark_folder(folder: Path) -> str:
    """Leave a secret in a folder, by which another machine can tell that it sees the same one."""
    mark = secrets.token_hex(16)
    write_atomically(folder / _MARK, [mark.encode()])
    return mark


def sees_folder(folder: Path, mark: str) -> bool:
    """Tell whether this machine sees the folder that holds a mark, and may write there."""
    try:
        return (folder / _MARK).read_text() == mark and os.access(folder, os.W_OK)
    except OSError:
        return False


def unmark_folder(folder: Path) -> None:
    """Take the mark away."""
    (folder / _MARK).unlink(missing_ok=True)
