"""Values of a JSON document that a person may have edited, each checked as it is read.

Not for: what they mean (`farm.faces.table_file`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from farm.errors import InputError

_MOST_PX = 1 << 20
_LONG_TEXT = 40


class JsonValues:
    """Reads values and says where one is not as it must be."""

    def __init__(self, name: str) -> None:
        """Take what messages begin with."""
        self.name = name

    def refuse(self, message: str) -> NoReturn:
        """Give up.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.name}: {message}")

    def record(
        self, value: Any, where: str, known: Collection[str] | None = None
    ) -> dict[str, Any]:
        """An object; with `known`, one that has no other fields."""
        if not isinstance(value, dict):
            self.refuse(f"{where} must be an object {{...}}")
        for name in value if known else ():
            if name not in (known or ()):
                self.refuse(
                    f"{where} has a field {shown(name)}; known are {', '.join(known or ())}"
                )
        return dict(value)

    def items(self, value: Any, where: str) -> Sequence[Any]:
        """A list."""
        if not isinstance(value, list):
            self.refuse(f"{where} must be a list [...]")
        return tuple(value)

    def whole(self, value: Any, where: str, low: int, high: int | None = None) -> int:
        """A whole number from `low` to below `high`."""
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
        if not fits or (high is not None and value >= high):
            limits = f"at least {low}" if high is None else f"between {low} and {high - 1}"
            self.refuse(f"{where} is {shown(value)}, must be a whole number {limits}")
        return int(value)

    def flag(self, value: Any, where: str) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.refuse(f"{where} is {shown(value)}, must be true or false")
        return bool(value)

    def numbers(self, value: Any, where: str, count: int) -> list[float]:
        """So many finite numbers."""
        given = value if isinstance(value, list) else []
        fits = len(given) == count and all(
            isinstance(each, (int, float)) and not isinstance(each, bool) for each in given
        )
        wanted = "a number" if count == 1 else f"{count} numbers"
        if not fits:
            self.refuse(f"{where} is {shown(value)}, must be {wanted}")
        if not all(abs(each) <= _MOST_PX for each in given):
            self.refuse(f"{where} is {shown(value)}, must be {wanted} up to {_MOST_PX}")
        return [float(each) for each in given]

    def box(self, value: Any, where: str) -> list[float]:
        """Left, top, right, bottom."""
        left, top, right, bottom = box = self.numbers(value, where, 4)
        if not (left < right and top < bottom):
            self.refuse(f"{where} is {shown(value)}, must be [left, top, right, bottom]")
        return box


def shown(value: object) -> str:
    """A value as messages show it, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONG_TEXT else f"{text[: _LONG_TEXT - 3]}..."
