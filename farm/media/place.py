"""Putting a finished file in its place: whole under its name, or not there.

Not for: making it (`farm.media.final`).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from farm.errors import JobError, SettingsError, SetupError


def check_place(output: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot be put in place, before anything is made.

    Raises:
        SettingsError: It is there already.
        SetupError: Its folder is missing or cannot be written.
    """
    folder = output.absolute().parent
    if not folder.is_dir():
        raise SetupError(f"{folder}: no such folder; make it or choose another --output")
    if not os.access(folder, os.W_OK):
        raise SetupError(f"{folder}: cannot be written; choose another --output")
    if output.exists() and not overwrite:
        raise _exists(output)


def put_in_place(temporary: Path, output: Path, *, overwrite: bool) -> None:
    """Give the finished file its name, never over a file that appeared meanwhile.

    Raises:
        SettingsError: One did.
    """
    if overwrite:
        temporary.replace(output)
        return
    try:
        output.hardlink_to(temporary)
    except FileExistsError:
        raise _exists(output) from None
    except OSError:  # a file system without hard links
        if output.exists():
            raise _exists(output) from None
        temporary.replace(output)


def disk_error(error: OSError, output: Path) -> JobError | SetupError:
    """What to tell of an error of the file system while an output was made."""
    where = error.filename or output.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JobError(f"{where}: the disk is full; free space and run the command again")
    return SetupError(f"{where}: {error.strerror or error}; choose another --output or --job-dir")


def _exists(output: Path) -> SettingsError:
    return SettingsError(f"{output}: is there already; give --overwrite or another --output")
