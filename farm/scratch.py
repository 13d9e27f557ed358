"""Folders for a command's temporary files that do not stay, not even where the command is killed.

Not for: files with one name, which are written beside it (`farm.files`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

IMAGE_SCRATCH = ".facefarm-images-"
"""Prefix of folders in which images are written, beside their output."""


@contextmanager
def scratch_folder(prefix: str, within: Path | None = None) -> Iterator[Path]:
    """Make a folder, in the system's temporary one unless told, that is deleted afterwards.

    It is locked while it is in use. The next command that makes one there deletes those that
    nobody holds any more; where folders cannot be locked, it deletes none.

    Raises:
        OSError: It cannot be made.
    """
    base = within or Path(tempfile.gettempdir())
    for left in base.glob(f"{prefix}*"):
        _remove_unused(left)
    folder, handle = _locked_folder(base, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked_folder(base: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the handle that locks it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        with suppress(FileNotFoundError):  # Somebody cleared it away before it was locked.
            handle = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # A network disk without locks.
                fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                return folder, handle
            os.close(handle)


def _remove_unused(folder: Path) -> None:
    """Delete the folder of a command that is no longer there."""
    with suppress(OSError):  # Somebody else's, gone meanwhile, or in use.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
