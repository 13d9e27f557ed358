"""Options from a TOML file, and the check of `FACEFARM_*` variables.

A file holds one key for each long option (`video-quality = 18`; `_` is as good as `-`), and a table
`[model]` for `--model KIND=PATH`. Relative paths in it start at the folder of the file, so that the
same file means the same from everywhere. The command line stands before the environment, the
environment before the file, the file before the defaults.
Not for: the options that there are (`farm.options`) or reading the command line (`cli`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from farm.errors import InputError, SettingsError
from farm.names import nearest
from farm.options import OptionKind

VARIABLE_PREFIX = "FACEFARM_"


def read_config(path: Path, known: Mapping[str, OptionKind]) -> dict[str, Any]:
    """Values of the options in the TOML file `path`, by option name with `_` for `-`.

    Args:
        path: The file to read.
        known: Every option that a file may hold, named with `_`, and what it takes.

    Raises:
        InputError: The file cannot be read.
        SettingsError: It is no TOML, or a key or value is wrong; the message says the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read this configuration file ({error})") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is no valid TOML: {error}") from error
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{path}{_line_of(key, text)}"
        name = key.replace("-", "_")
        if name not in known:
            raise SettingsError(f"{where}: no option is called {key!r}{meant(key, known)}")
        values[name] = checked_value(where, key, value, known[name], path.parent)
    return values


def check_variables(environ: Mapping[str, str], known: Mapping[str, OptionKind]) -> None:
    """Refuse a `FACEFARM_*` variable that names no option.

    Raises:
        SettingsError: There is such a variable; the message says the nearest name.
    """
    names = {VARIABLE_PREFIX + name.upper() for name in known}
    for variable in environ:
        if variable.startswith(VARIABLE_PREFIX) and variable not in names:
            close = nearest(variable, names)
            hint = f"; did you mean {close}?" if close else "; unset it"
            raise SettingsError(f"the environment variable {variable} names no option{hint}")


def _line_of(key: str, text: str) -> str:
    """Where `key` is set: " line N", or nothing where the file spells it in another way."""
    pattern = re.compile(rf"""\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*(?:[=.\]]|$)""")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f" line {number}"
    return ""


def meant(key: str, known: Iterable[str]) -> str:
    """The hint at the option that `key` may have meant."""
    close = nearest(key.replace("_", "-"), (name.replace("_", "-") for name in known))
    return f"; did you mean {close!r}?" if close else ""


def checked_value(where: str, key: str, value: object, kind: OptionKind, folder: Path) -> object:
    """`value`, as the command line would have given it.

    Raises:
        SettingsError: It is not what the option takes.
    """
    if kind is OptionKind.PAIRS and isinstance(value, dict) and _all_text(list(value.values())):
        return [f"{name}={_below(folder, path)}" for name, path in value.items()]
    if kind in (OptionKind.TEXTS, OptionKind.PATHS):
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and _all_text(items):
            return [_below(folder, i) for i in items] if kind is OptionKind.PATHS else items
    elif _fits(value, kind):
        return _below(folder, str(value)) if kind is OptionKind.PATH else value
    raise SettingsError(f"{where}: {key} must be {kind.value}, not {value!r}")


def _below(folder: Path, path: str) -> str:
    """A path of the file, from its folder where it is relative; `~` is the home folder.

    An address (`s3://bucket/clip.mp4`) is taken as it is.
    """
    if "://" in path:
        return path
    return str(folder / Path(path).expanduser())


def _all_text(items: Sequence[object]) -> bool:
    """Whether every item is a text."""
    return all(isinstance(item, str) for item in items)


def _fits(value: object, kind: OptionKind) -> bool:
    """Whether a single value is of its kind; true and false are no numbers here."""
    if isinstance(value, bool):
        return kind is OptionKind.FLAG
    types: dict[OptionKind, tuple[type, ...]] = {
        OptionKind.TEXT: (str,),
        OptionKind.PATH: (str,),
        OptionKind.INTEGER: (int,),
        OptionKind.NUMBER: (int, float),
        OptionKind.SIZE: (int, float, str),
        OptionKind.TIME: (int, float, str),
        OptionKind.RATE: (int, float, str),
    }
    return isinstance(value, types.get(kind, ()))
