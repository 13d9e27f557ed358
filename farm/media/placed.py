"""The note of what a job puts in place, by which a later run knows the output as its own.

It is written just before the output gets its name and says the output's size and hash: an output
that is there and fits is the job's own.
Not for: putting it in place (`farm.media.place`).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

PLACED_NAME = ".facefarm-output.json"


def note_placed(folder: Path, sha256: str, size: int) -> None:
    """Note in a job's folder what is about to be put in place."""
    temporary = folder / f"{PLACED_NAME}.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"sha256": sha256, "bytes": size}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / PLACED_NAME)


def is_own_output(folder: Path, output: Path) -> bool:
    """Tell whether an output is there, made by the job in this folder, and as it was made."""
    try:
        noted = json.loads((folder / PLACED_NAME).read_text(encoding="utf-8"))
        if not output.is_file() or output.stat().st_size != noted["bytes"]:
            return False
        with output.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == str(noted["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
