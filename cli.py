"""The command line: options in, one call of the farm, results and exit codes out.

Logs and progress go to stderr, results (`--json`) to stdout. An error is one line on stderr; with
`--json` also `{"error": {"type": ..., "message": ..., "exit_code": ...}}` on stdout, unless the
result is there already. Exit codes: 0 done, 1 the job failed, 2 usage or bad input,
3 something that must be installed is missing, 4 done from a damaged source, 5 refused by the
content filter, 6 nothing proves a file unchanged (`verify`), 130 interrupted.
Not for: any work of its own; that is in `farm`, `actors`, `scheduler` and `cluster`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from cluster.command_table import COMMANDS, GROUPS
from farm.command import CommandResult
from farm.config import VARIABLE_PREFIX, check_variables, read_config
from farm.environment import explain_import_error, farm_version
from farm.errors import FarmError, InputError, Interrupted
from farm.manifest import to_jsonable
from farm.options import OptionKind, OptionSpec, collect, options_of, parse_memory
from farm.progress import open_display
from farm.stop import StopRequest

_PACKAGES = ("farm", "actors", "scheduler", "cluster", __name__)
_CONTEXT = {
    "auto_envvar_prefix": "FACEFARM",
    "show_default": True,
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}
_PATH = click.Path(path_type=Path)


@dataclass(slots=True, kw_only=True)
class Output:
    """How this run of the command speaks; set while its options are read."""

    arguments: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False
    debug: bool = False
    written: bool = False
    """Whether the result is on stdout."""

    def result(self, document: object, lines: Sequence[str]) -> None:
        """Write the result: as JSON to stdout, or as lines to stdout unless quiet."""
        self.written = True
        if self.json:
            click.echo(json.dumps(to_jsonable(document), indent=2, ensure_ascii=False))
        elif not self.quiet:
            click.echo("\n".join(lines))

    def progress(self, line: str) -> None:
        """Write a line about work that goes on to stderr."""
        if not self.quiet:
            click.echo(f"facefarm: {line}", err=True)

    def error(self, error: BaseException, message: str, exit_code: int) -> int:
        """Write an error and hand its exit code on."""
        if self.debug:
            click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
        click.echo(f"facefarm: error: {message}", err=True)
        if self.json and not self.written:
            name = type(error).__name__
            details = {"type": name, "message": message, "exit_code": exit_code}
            click.echo(json.dumps({"error": details}, ensure_ascii=False))
        return exit_code


class FarmGroup(click.Group):
    """The commands, with every error turned into one line and an exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> None:
        """Run a command and leave the process."""
        given = tuple(sys.argv[1:] if args is None else args)
        output = Output(arguments=given, json="--json" in given, debug="--debug" in given)
        extra |= {"standalone_mode": False, "obj": output}
        run = super().main
        sys.exit(_exit_code(output, lambda: run(given, "facefarm", **extra)))


def _exit_code(output: Output, run: Callable[[], object]) -> int:
    """Exit code of `run`, its error reported."""
    try:
        code = run()
    except click.ClickException as error:
        return output.error(error, _usage_message(error), 2)
    except (KeyboardInterrupt, click.Abort, Interrupted) as error:
        said = f"{error.message}; " if isinstance(error, Interrupted) else ""
        again = shlex.join(("facefarm", *output.arguments))
        return output.error(error, f"{said}interrupted; to go on, run: {again}", 130)
    except FarmError as error:
        return output.error(error, error.message, error.exit_code)
    except ImportError as error:
        explained = explain_import_error(error)
        return output.error(error, explained.message, explained.exit_code)
    except Exception as error:  # noqa: BLE001 - the last catch before the user
        hint = "" if output.debug else " (this is a fault of facefarm; --debug shows where)"
        return output.error(error, f"{type(error).__name__}: {error}{hint}", 1)
    return code if isinstance(code, int) else 0


def _usage_message(error: click.ClickException) -> str:
    """Click's message in one line; a missing option says what it is for."""
    if isinstance(error, click.MissingParameter) and isinstance(error.param, click.Option):
        return f"{'/'.join(error.param.opts)} is missing: {error.param.help}"
    return " ".join(error.format_message().split())


class FarmCommand(click.Command):
    """A command made from a plain function: its annotated parameters are the options.

    The function is imported when its options are asked for, so that the list of commands is quick.
    """

    def __init__(self, name: str, place: str, text: str) -> None:
        """Take `package.module:function` and the help text."""
        super().__init__(name, help=text, callback=self._work, context_settings=_CONTEXT)
        self._place = place
        self._read = False

    @property
    def work(self) -> Callable[..., CommandResult]:
        """The function."""
        module, _, name = self._place.partition(":")
        work: Callable[..., CommandResult] = getattr(importlib.import_module(module), name)
        return work

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options of the function, and those that say how to speak."""
        if not self._read:
            self._read = True
            own = [_parameter(spec) for spec in options_of(self.work)]
            self.params = [*own, *_speaking()]
        return super().get_params(ctx)

    def _work(self, *, log_file: Path | None, **values: Any) -> int:
        """Call the function and write its result."""
        output: Output = click.get_current_context().obj
        # What libraries print (Ray's warnings, say) would stand before the result.
        with redirect_stdout(sys.stderr), _logs(output, log_file), ExitStack() as stack:
            given = collect(self.work, values, _given(click.get_current_context()))
            result = self.work(**given, **_wiring(self.work, output, values, stack))
        output.result(result.document, result.lines)
        if result.error is not None:
            raise result.error
        return result.exit_code


def _given(ctx: click.Context) -> set[str]:
    """Names of the options that the user has given, in whatever way."""
    default = click.core.ParameterSource.DEFAULT
    return {name for name in ctx.params if ctx.get_parameter_source(name) is not default}


def _wiring(
    work: Callable[..., Any], output: Output, values: Mapping[str, Any], stack: ExitStack
) -> dict[str, Any]:
    """Those of `say`, `observer` and `stop` that a command takes; `stack` ends them."""
    wanted = inspect.signature(work).parameters
    given: dict[str, Any] = {}
    if "say" in wanted:
        given["say"] = output.progress
    if "observer" in wanted:
        memory = values.get("max_memory")
        limit = None if memory is None else parse_memory(str(memory))
        display = open_display(sys.stderr, quiet=output.quiet, memory_limit_bytes=limit)
        given["observer"] = stack.enter_context(display)
    if "stop" in wanted:
        given["stop"] = stack.enter_context(_ctrl_c())
    return given


class _MemorySize(click.ParamType[str]):
    """A memory size: GiB, or with a unit; checked here, converted where settings are made."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text of the size, once it can be read."""
        parse_memory(str(value))
        return str(value)


def _parameter(spec: OptionSpec) -> click.Parameter:
    """An option or argument of the command line."""
    option = spec.option
    if option.positional:
        return click.Argument(
            [spec.name], type=_type(spec), required=spec.required, nargs=-1 if spec.many else 1
        )
    names = [f"-{option.short}"] if option.short else []
    flag = spec.kind is OptionKind.FLAG and not option.off
    shown = option.unset or ("off" if flag else True)
    extra: dict[str, Any] = {"is_flag": True} if flag else {}
    if spec.default is not None:
        extra["default"] = spec.default.value if isinstance(spec.default, StrEnum) else spec.default
    return click.Option(
        [spec.name, *names, f"{spec.flag_name}/--{option.off}" if option.off else spec.flag_name],
        help=option.help,
        type=None if spec.kind is OptionKind.FLAG else _type(spec),
        required=spec.required,
        multiple=spec.many,
        metavar=option.metavar,
        show_default=shown,
        **extra,
    )


def _type(spec: OptionSpec) -> click.ParamType[Any]:
    """How a value is read from the command line."""
    if issubclass(spec.value_type, StrEnum) or (spec.choices and not spec.option.metavar):
        return click.Choice(spec.choices)
    if spec.kind is OptionKind.SIZE:
        return _MemorySize()
    kinds: dict[type, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, Path: _PATH}
    return kinds.get(spec.value_type, click.STRING)


def _known_options() -> dict[str, OptionKind]:
    """Every option of every command, and what it takes in a file."""
    known = dict.fromkeys(("json", "quiet", "debug"), OptionKind.FLAG)
    known |= {"config": OptionKind.PATH, "log_file": OptionKind.PATH}
    for command in all_commands(main):
        known |= {spec.name: spec.kind for spec in options_of(command.work)}
    return known


def all_commands(group: click.Group) -> Iterator[FarmCommand]:
    """The commands below a group, at every depth."""
    for command in group.commands.values():
        if isinstance(command, FarmCommand):
            yield command
        elif isinstance(command, click.Group):
            yield from all_commands(command)


def _read_config(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Take the defaults of the other options from the file and see that no variable is mistyped."""
    ctx.default_map = {}
    if value or any(name.startswith(VARIABLE_PREFIX) for name in os.environ):
        known = _known_options()
        check_variables(os.environ, known)
        ctx.default_map = read_config(Path(value), known) if value else {}


def _set_output(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Note an option that says how to speak before any other is looked at."""
    if value:
        setattr(ctx.obj, str(param.name), value)
    return value


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the moment, so that a live display stays whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        click.echo(f"facefarm: {self.format(record)}", err=True)


@contextmanager
def _logs(output: Output, log_file: Path | None) -> Iterator[None]:
    """Warnings (with `--debug` everything) go to stderr, everything goes to the log file."""
    handlers: list[logging.Handler] = [_StderrHandler()]
    level = logging.ERROR if output.quiet else logging.WARNING
    handlers[0].setLevel(logging.DEBUG if output.debug else level)
    if log_file is not None:
        try:
            handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{log_file}: cannot write the log ({error.strerror})") from error
        pattern = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        handlers[1].setFormatter(logging.Formatter(pattern))
    loggers = [logging.getLogger(package) for package in _PACKAGES]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.setLevel(logging.NOTSET)
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()


def _speaking() -> list[click.Parameter]:
    """The options of every command that say how it speaks."""
    speech: dict[str, Any] = {"is_eager": True, "expose_value": False}
    flag = {**speech, "is_flag": True, "callback": _set_output, "show_default": "off"}
    return [
        click.Option(
            ["--config"],
            type=_PATH,
            show_default="none",
            callback=_read_config,
            help="TOML file with options (video-quality = 18).",
            **speech,
        ),
        click.Option(["--json"], help="Write the result as JSON to stdout.", **flag),
        click.Option(["--quiet"], help="No progress and no summary.", **flag),
        click.Option(["--debug"], help="Tracebacks, and everything that is logged.", **flag),
        click.Option(
            ["--log-file"],
            type=_PATH,
            show_default="none",
            help="File that gets everything that is logged.",
        ),
    ]


@click.group(cls=FarmGroup, context_settings={**_CONTEXT, "auto_envvar_prefix": None})
@click.version_option(farm_version(), message="facefarm %(version)s")
def main() -> None:
    """Render faces in videos, frame-exact, on one machine or many.

    Every option can also be set as FACEFARM_NAME in the environment (FACEFARM_VIDEO_QUALITY=18) or
    in the file of --config; the command line comes first, then the environment, then the file.
    """


def _add_commands() -> None:
    """Put the commands into their groups."""
    groups: dict[str, click.Group] = {"": main}
    for name, text in GROUPS.items():
        groups[name] = click.Group(name, help=text, context_settings=_CONTEXT)
        main.add_command(groups[name])
    for words, (place, text) in COMMANDS.items():
        group, _, name = words.rpartition(" ")
        groups[group].add_command(FarmCommand(name, place, text))


@contextmanager
def _ctrl_c() -> Iterator[StopRequest]:
    """The first Ctrl-C lets the chunks in hand be finished, the second stops at once."""
    stop = StopRequest()
    before = signal.signal(signal.SIGINT, lambda *_: stop.press())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


_add_commands()

if __name__ == "__main__":
    main()
