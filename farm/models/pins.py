"""What was fetched first: hashes of files whose catalogue entry states none, kept in `PINS_NAME`.

Trust on first use: the first fetched file is believed, and every later one must be the same.
Not for: entries with a hash, which need no memory.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from farm.errors import ModelError

PINS_NAME = "pinned.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What is known of a file since it was first fetched."""

    sha256: str
    size_bytes: int
    source: str
    """Address or path that it came from."""
    pinned_at: str
    """Aware UTC, ISO 8601."""


def read_pins(models_dir: Path) -> dict[str, Pin]:
    """The pins of a models directory by model name; none when there is no file.

    Raises:
        ModelError: The file is damaged; going on would believe whatever comes.
    """
    path = models_dir / PINS_NAME
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(name): Pin(**fields) for name, fields in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}): mend it, or delete it to pin the files again"
        ) from error


def write_pin(models_dir: Path, name: str, pin: Pin) -> None:
    """Remember a file, unless it is remembered already.

    Raises:
        ModelError: Another hash is pinned for this name, or the file cannot be written.
    """
    path = models_dir / PINS_NAME
    temporary = path.with_name(f".{PINS_NAME}.{os.getpid()}.tmp")
    with filelock.FileLock(models_dir / f".{PINS_NAME}.lock"):
        pins = read_pins(models_dir)
        if name in pins and pins[name].sha256 != pin.sha256:
            raise ModelError(
                f"{name} is pinned to sha256 {pins[name].sha256}, but {pin.source} gave "
                f"{pin.sha256}; if that is meant, remove its lines from {path}"
            )
        pins.setdefault(name, pin)
        try:
            text = json.dumps({key: asdict(value) for key, value in pins.items()}, indent=2)
            temporary.write_text(f"{text}\n", "utf-8")
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise ModelError(f"{path} cannot be written: {error.strerror or error}") from error
