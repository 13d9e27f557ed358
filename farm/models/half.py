"""Copies of models in 16 bits, made once and kept below the user's cache.

Not for: measuring what they cost in quality (`facefarm models optimize` reports that).
"""

from __future__ import annotations

from pathlib import Path

import filelock

from farm.errors import ModelError
from farm.models.hashes import sha256_of


def half_copy(model: Path, folder: Path) -> Path:
    """The model in 16 bits; what it takes and gives stays 32 bits.

    Args:
        model: The file.
        folder: Where copies lie; made if missing.

    Raises:
        ModelError: The graph cannot be converted, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"{sha256_of(model)[:32]}.onnx"
        with filelock.FileLock(folder / f".{copy.stem}.lock"):
            if not copy.is_file():
                _make(model, copy)
    except OSError as error:
        raise ModelError(
            f"{model}: its 16-bit copy cannot be written to {folder} ({error.strerror or error}); "
            "free space there or take --precision tf32"
        ) from error
    return copy


def _make(model: Path, copy: Path) -> None:
    from farm.models.quantize import write_fp16

    unfinished = copy.with_suffix(".part")
    try:
        write_fp16(model, unfinished)
        unfinished.replace(copy)
    finally:
        unfinished.unlink(missing_ok=True)
