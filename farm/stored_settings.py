"""Settings as a job's ledger stores them, and back again.

Not for: settings as users write them (`farm.config`).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from farm.errors import JobError
from farm.manifest import to_jsonable
from farm.settings import RenderSettings


def store_settings(settings: RenderSettings) -> dict[str, Any]:
    """Return settings as JSON can hold them, with paths that do not depend on where one stands."""
    found: dict[str, Any] = to_jsonable(_absolute(settings))
    return found


def restore_settings(stored: Any) -> RenderSettings:
    """Return settings that were stored.

    Raises:
        JobError: They were stored by a version with other options.
    """
    try:
        restored: RenderSettings = _restore(RenderSettings, stored)
    except (KeyError, TypeError, ValueError) as error:
        raise JobError(
            f"the job's settings were stored by another version ({error}); run its command again"
        ) from error
    return restored


def _absolute(value: Any) -> Any:
    """Return a value with all paths in it made absolute."""
    if isinstance(value, Path):
        return value.absolute()
    if isinstance(value, tuple):
        return tuple(_absolute(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: _absolute(getattr(value, f.name)) for f in dataclasses.fields(value)}
        )
    return value


def _restore(kind: Any, value: Any) -> Any:
    """Return a JSON value as its annotated type wants it."""
    if typing.get_origin(kind) is Annotated:
        return _restore(typing.get_args(kind)[0], value)
    if isinstance(kind, types.UnionType):
        kinds = [each for each in typing.get_args(kind) if each is not type(None)]
        return None if value is None else _restore(kinds[0], value)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        if inner[-1] is Ellipsis:
            return tuple(_restore(inner[0], each) for each in value)
        return tuple(_restore(one, each) for one, each in zip(inner, value, strict=True))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return kind(**{name: _restore(hints[name], each) for name, each in value.items()})
    if isinstance(kind, type) and issubclass(kind, StrEnum | Path):
        return kind(value)
    if kind is Fraction:
        return Fraction(str(value))
    return float(value) if kind is float else value
