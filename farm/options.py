"""Options as data: each is an annotated field of a settings record or parameter of a command.

    video_quality: Annotated[int, Option(help="0 to 51.", low=0, high=51)] = 18

The command line, TOML files, `FACEFARM_*` variables, range checks and forms are all made from these
annotations, so an option is said in one place. A field whose type is itself a record stands for the
options of that record.
Not for: reading files and variables (`farm.config`) or drawing options (`cli`).
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from farm.errors import SettingsError
from farm.names import require_known
from farm.time_text import parse_rate, parse_time

_GIB = 1 << 30
_UNITS = {"": _GIB, "k": 1 << 10, "m": 1 << 20, "g": _GIB, "t": 1 << 40}
_LEAST_MEMORY_BYTES = 64 << 20
_NO_DEFAULT = object()
Mark = TypeVar("Mark")


class OptionKind(StrEnum):
    """What the value of an option must be in a TOML file."""

    TEXT = "a text"
    PATH = "a path"
    INTEGER = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    SIZE = 'a number of GiB or a text like "500M"'
    TIME = 'seconds or a text like "0:01:30.5"'
    RATE = 'a number or a text like "30000/1001"'
    TEXTS = "a text or a list of texts"
    PATHS = "a path or a list of paths"
    PAIRS = "a table of KIND = PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The annotation: what the user is told of a value, and which values are allowed."""

    help: str
    name: str | None = None
    """Long name without dashes; None takes the name of the field."""
    short: str | None = None
    """One letter."""
    off: str | None = None
    """Long name that says no, for a flag that is on by default or may be contradicted."""
    kind: OptionKind | None = None
    """None takes what the type says."""
    metavar: str | None = None
    unset: str | None = None
    """What happens without it, where the default does not say so itself."""
    choices: tuple[str, ...] = ()
    """Texts that are allowed; the members of an enumeration need not be named."""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    """The value must be more than this."""
    positional: bool = False
    """Whether a command takes it without a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsOf:
    """The annotation of a command's parameter that takes the options of a record as they are.

    The command gets a dictionary of the values that differ from their defaults, as JSON can hold
    them, by option name.
    """

    record: type
    without: tuple[str, ...] = ()
    """Names of options that are left out."""
    all_given: bool = False
    """Whether values that were given count where they are the defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """One option as everything that reads or draws options sees it."""

    name: str
    """With `_`, as in variables and TOML files."""
    place: tuple[str, ...]
    """Names of the fields that lead to it."""
    option: Option
    kind: OptionKind
    many: bool
    value_type: type
    """Of one value, as the settings hold it."""
    choices: tuple[str, ...]
    default: Any
    """As the settings hold it; `None` where there is none or it is required."""
    required: bool

    @property
    def flag_name(self) -> str:
        """The long name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def said_name(self) -> str:
        """What messages call it."""
        return f"-{self.option.short}/{self.flag_name}" if self.option.short else self.flag_name


@cache
def options_of(source: Any) -> tuple[OptionSpec, ...]:
    """The options of a settings record or of a function's parameters, in their order.

    Fields and parameters without an `Option` are left out.
    """
    return tuple(_specs(source, ()))


def collect(source: Any, values: Mapping[str, Any], given: Collection[str] = ()) -> Any:
    """Make a settings record, or the arguments of a function, from option values by name.

    Args:
        source: A record class, or a function.
        values: By `OptionSpec.name`; a missing one takes its default.
        given: Names of those that the user has given, be it as the default says.

    Returns:
        The record; for a function a dictionary of its arguments.

    Raises:
        SettingsError: A value cannot be read or is out of range.
    """
    specs = {spec.place: spec for spec in options_of(source)}
    arguments: dict[str, Any] = {}
    for name, kind, _default in _members(source):
        if _is_record(kind):
            arguments[name] = collect(kind, values)
        elif raw := _annotation(kind, OptionsOf):
            arguments[name] = _changed(raw, values, given)
        elif (name,) in specs and specs[(name,)].name in values:
            arguments[name] = _converted(specs[(name,)], values[specs[(name,)].name])
            if not _is_record(source):
                _check_all(specs[(name,)], arguments[name])  # records do so themselves
    return source(**arguments) if _is_record(source) else arguments


def check_ranges(record: object) -> None:
    """Refuse values of a record that its annotations do not allow.

    Raises:
        SettingsError: One is out of range, or not among the known names.
    """
    kind: Any = type(record)
    for spec in options_of(kind):
        if len(spec.place) == 1:  # a record within checks itself
            _check_all(spec, getattr(record, spec.place[0]))


def parse_memory(text: str) -> int:
    """Bytes of a memory size: a bare number is GiB, `K`, `M`, `G` and `T` are binary units.

    Raises:
        SettingsError: `text` is no size, or less than 64 MiB.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise SettingsError(f"--max-memory {text}: write GiB (4) or a size like 500M or 2G")
    size = int(float(match[1]) * _UNITS[match[2]])
    if size < _LEAST_MEMORY_BYTES:
        raise SettingsError(f"--max-memory {text}: must be at least 64M")
    return size


def parse_model(text: str) -> tuple[str, Path]:
    """Kind and file of a `--model KIND=PATH` value.

    Raises:
        SettingsError: There is no `=`, or one side is empty.
    """
    kind, equals, path = text.partition("=")
    if not (equals and kind.strip() and path.strip()):
        raise SettingsError(f"--model {text}: write KIND=PATH, like swapper=inswapper_128.onnx")
    return kind.strip(), Path(path.strip())


def _specs(source: Any, place: tuple[str, ...]) -> Iterator[OptionSpec]:
    """Options of a record or function, those of records within it in their place."""
    for name, kind, default in _members(source):
        here = (*place, name)
        if _is_record(kind):
            yield from _specs(kind, here)
        elif raw := _annotation(kind, OptionsOf):
            yield from (s for s in options_of(raw.record) if s.name not in raw.without)
        elif option := _annotation(kind, Option):
            yield _spec(here, kind, option, default)


def _members(source: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotated type and default of each field or parameter."""
    hints = typing.get_type_hints(source, include_extras=True)
    if _is_record(source):
        for each in dataclasses.fields(source):
            made = each.default_factory is not dataclasses.MISSING
            default = _NO_DEFAULT if made or each.default is dataclasses.MISSING else each.default
            yield each.name, hints[each.name], default
    else:
        for parameter in inspect.signature(source).parameters.values():
            default = parameter.default
            default = _NO_DEFAULT if default is inspect.Parameter.empty else default
            yield parameter.name, hints[parameter.name], default


def _spec(place: tuple[str, ...], annotated: Any, option: Option, default: Any) -> OptionSpec:
    """Read one annotation."""
    value_type, many, optional = _plain(typing.get_args(annotated)[0])
    kind = option.kind or _kind(value_type, many)
    choices = tuple(m.value for m in value_type) if issubclass(value_type, StrEnum) else ()
    return OptionSpec(
        name=(option.name or place[-1]).replace("-", "_"),
        place=place,
        option=option,
        kind=kind,
        many=many,
        value_type=value_type,
        choices=choices or option.choices,
        default=None if default is _NO_DEFAULT else default,
        required=default is _NO_DEFAULT and not optional,
    )


def _plain(kind: Any) -> tuple[type, bool, bool]:
    """Type of one value, whether there may be several, and whether there may be none."""
    optional = False
    if isinstance(kind, types.UnionType):
        kinds = [each for each in typing.get_args(kind) if each is not type(None)]
        kind, optional = kinds[0], True
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return typing.get_origin(inner) or inner, True, optional
    return kind, False, optional


def _kind(value_type: type, many: bool) -> OptionKind:
    """What a TOML file must hold for a value of this type."""
    if many:
        return OptionKind.PATHS if value_type is Path else OptionKind.TEXTS
    kinds: dict[type, OptionKind] = {
        bool: OptionKind.FLAG,
        int: OptionKind.INTEGER,
        float: OptionKind.NUMBER,
        Path: OptionKind.PATH,
    }
    return kinds.get(value_type, OptionKind.TEXT)


def _annotation(kind: Any, wanted: type[Mark]) -> Mark | None:
    """What an annotated type is marked with."""
    if typing.get_origin(kind) is not Annotated:
        return None
    return next((m for m in kind.__metadata__ if isinstance(m, wanted)), None)


def with_options(record: Any, values: Mapping[str, Any]) -> Any:
    """Return a settings record with other values of some options, by `OptionSpec.name`.

    Raises:
        SettingsError: A value cannot be read or is out of range.
    """
    kind: Any = type(record)
    for spec in options_of(kind):
        if spec.name in values:
            record = _placed(record, spec.place, _converted(spec, values[spec.name]))
    return record


def _placed(record: Any, place: tuple[str, ...], value: Any) -> Any:
    """Return a record with a value in its place, in a record within it or itself."""
    name, *rest = place
    inner = _placed(getattr(record, name), tuple(rest), value) if rest else value
    return dataclasses.replace(record, **{name: inner})


def _changed(raw: OptionsOf, values: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Values of a record's options that are not the defaults, once they can be read."""
    found = {}
    for spec in options_of(raw.record):
        if spec.name in values and spec.name not in raw.without:
            value = _converted(spec, values[spec.name])
            if value != spec.default or (raw.all_given and spec.name in given):
                _check_all(spec, value)
                found[spec.name] = _plain_value(values[spec.name])
    return found


def _plain_value(value: Any) -> Any:
    """A value as JSON can hold it; paths become absolute, since they are read elsewhere."""
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return [_plain_value(each) for each in value] if isinstance(value, tuple | list) else value


def _is_record(kind: Any) -> bool:
    return inspect.isclass(kind) and dataclasses.is_dataclass(kind)


def _converted(spec: OptionSpec, value: Any) -> Any:
    """A value as the settings hold it."""
    if spec.many:
        return tuple(_one(spec, each) for each in value)
    return None if value is None else _one(spec, value)


def _one(spec: OptionSpec, value: Any) -> Any:
    converters: dict[OptionKind, Callable[[Any], Any]] = {
        OptionKind.SIZE: lambda size: parse_memory(str(size)),
        OptionKind.TIME: lambda time: parse_time(spec.flag_name, str(time)),
        OptionKind.RATE: lambda rate: parse_rate(spec.flag_name, str(rate)),
        OptionKind.PAIRS: lambda pair: parse_model(pair) if isinstance(pair, str) else pair,
    }
    return converters.get(spec.kind, spec.value_type)(value)


def _check_all(spec: OptionSpec, value: Any) -> None:
    """Refuse a value, or one of several, that is not allowed."""
    for each in value if spec.many else (value,):
        if each is not None:
            _check(spec, each)


def _check(spec: OptionSpec, value: Any) -> None:
    """Refuse one value that is not allowed."""
    option = spec.option
    if option.choices:
        require_known(spec.flag_name, value, option.choices)
    if option.above is not None and not value > option.above:
        raise SettingsError(f"{spec.flag_name} {value}: must be more than {option.above:g}")
    low, high = option.low, option.high
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise SettingsError(f"{spec.flag_name} {value}: must be {_range(low, high)}")


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"
