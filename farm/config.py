"""Options from a TOML file and from `FACEFARM_*` variables, and the settings that they make.

A file holds one key for each long option (`video-quality = 18`; `_` is as good as `-`), and a table
`[model]` for `--model KIND=PATH`. Relative paths in it start at the folder of the file, so that the
same file means the same from everywhere. The command line stands before the environment, the
environment before the file, the file before the defaults.
Not for: reading the command line (`cli`), which names the options that there are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from farm.errors import InputError, SettingsError
from farm.names import nearest
from farm.settings import (
    AnonymizeMethod,
    EncodeOn,
    MaskShape,
    ProcessorSettings,
    RenderSettings,
    VerifyLevel,
)

VARIABLE_PREFIX = "FACEFARM_"
_GIB = 1 << 30
_UNITS = {"": _GIB, "k": 1 << 10, "m": 1 << 20, "g": _GIB, "t": 1 << 40}
_LEAST_MEMORY_BYTES = 64 << 20


class OptionKind(StrEnum):
    """What the value of an option must be in a TOML file."""

    TEXT = "a text"
    PATH = "a path"
    INTEGER = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    SIZE = 'a number of GiB or a text like "500M"'
    TEXTS = "a text or a list of texts"
    PATHS = "a path or a list of paths"
    PAIRS = "a table of KIND = PATH"


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
            raise SettingsError(f"{where}: no option is called {key!r}{_meant(key, known)}")
        values[name] = _checked(where, key, value, known[name], path.parent)
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


def build_settings(values: Mapping[str, Any]) -> RenderSettings:
    """The settings of a render from option values, by option name with `_` for `-`.

    Raises:
        SettingsError: A value is out of range or cannot be read.
    """
    memory = values["max_memory"]
    return RenderSettings(
        target=Path(values["target"]),
        output=Path(values["output"]),
        sources=tuple(Path(source) for source in values["source"]),
        processors=_processor_settings(values),
        execution_provider=values["execution_provider"],
        execution_threads=values["execution_threads"],
        video_encoder=values["video_encoder"],
        video_quality=values["video_quality"],
        max_memory_bytes=None if memory is None else parse_memory(str(memory)),
        keep_audio=values["keep_audio"],
        keep_frames=values["keep_frames"],
        workers=values["workers"],
        chunk_seconds=values["chunk_seconds"],
        encode_on=EncodeOn(values["encode_on"]),
        address=values["address"],
        job_dir=_path_or_none(values["job_dir"]),
        overwrite=values["overwrite"],
        video_stream=values["video_stream"],
        models_dir=_path_or_none(values["models_dir"]),
        models=tuple(parse_model(text) for text in values["model"]),
        allow_unverified_models=values["allow_unverified_models"],
        verify=VerifyLevel(values["verify"]),
        nsfw_filter=values["nsfw_filter"],
        c2pa_certificate=_path_or_none(values["c2pa_certificate"]),
        c2pa_key=_path_or_none(values["c2pa_key"]),
    )


def _processor_settings(values: Mapping[str, Any]) -> ProcessorSettings:
    """The part of the settings that processors read."""
    return ProcessorSettings(
        names=tuple(values["frame_processor"]),
        many_faces=values["many_faces"],
        detector=values["detector"],
        anonymize_method=AnonymizeMethod(values["anonymizer_method"]),
        anonymize_shape=MaskShape(values["anonymizer_shape"]),
        anonymize_padding=values["anonymizer_padding"],
        enhancer_blend=values["enhancer_blend"],
    )


def _path_or_none(value: str | None) -> Path | None:
    """The path, where one was given."""
    return None if value is None else Path(value)


def _line_of(key: str, text: str) -> str:
    """Where `key` is set: " line N", or nothing where the file spells it in another way."""
    pattern = re.compile(rf"""\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*(?:[=.\]]|$)""")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f" line {number}"
    return ""


def _meant(key: str, known: Mapping[str, OptionKind]) -> str:
    """The hint at the option that `key` may have meant."""
    close = nearest(key.replace("_", "-"), (name.replace("_", "-") for name in known))
    return f"; did you mean {close!r}?" if close else ""


def _checked(where: str, key: str, value: object, kind: OptionKind, folder: Path) -> object:
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
    """A path of the file, from its folder where it is relative; `~` is the home folder."""
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
    }
    return isinstance(value, types.get(kind, ()))
