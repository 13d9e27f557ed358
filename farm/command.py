"""What a command is: a plain function whose annotated parameters are its options.

The command line gives it, by name, those of `observer`, `stop` and `say` that it takes.
Not for: options (`farm.options`) or writing results (`cli`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from farm.errors import FarmError

Say = Callable[[str], None]
"""Takes a line about work that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The outcome of a command."""

    document: Any
    """What `--json` prints."""
    lines: Sequence[str] = field(default_factory=tuple)
    """What is printed without it."""
    exit_code: int = 0
    error: FarmError | None = None
    """Said after the result, which stands all the same; it has the exit code."""
