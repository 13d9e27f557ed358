"""The command line: options in, one call of the farm, results and exit codes out.

Logs and progress go to stderr, results (`--json`) to stdout. An error is one line on stderr; with
`--json` also `{"error": {"type": ..., "message": ..., "exit_code": ...}}` on stdout, unless the
result is there already (exit code 4). Exit codes: 0 done, 1 the job failed, 2 usage or bad input,
3 something that must be installed is missing, 4 done from a damaged source, 5 refused by the
content filter, 6 nothing proves a file unchanged (`verify`), 130 interrupted.
Not for: any work of its own; that is in `farm`, `actors`, `scheduler` and `cluster`.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from farm.config import OptionKind, build_settings, check_variables, parse_memory, read_config
from farm.environment import check_environment, explain_import_error, farm_version
from farm.errors import DamagedSource, FarmError, InputError, Interrupted
from farm.manifest import build_manifest, manifest_path, to_jsonable, write_manifest
from farm.progress import open_display
from farm.report import RenderReport
from farm.settings import AnonymizeMethod, EncodeOn, MaskShape, RenderSettings, VerifyLevel
from farm.stop import StopRequest
from farm.summary import damage_message, probe_lines, summary_lines

_PACKAGES = ("farm", "actors", "scheduler", "cluster", __name__)
_CONTEXT = {
    "auto_envvar_prefix": "FACEFARM",
    "show_default": True,
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True)
class Output:
    """How this run of the command speaks; set while its options are read."""

    arguments: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False
    debug: bool = False

    def result(self, document: object, lines: Sequence[str]) -> None:
        """Write the result: as JSON to stdout, or as lines to stdout unless quiet."""
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
        if self.json and not isinstance(error, DamagedSource):
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


class MemorySize(click.ParamType[str]):
    """A memory size: GiB, or with a unit; checked here, converted where settings are made."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text of the size, once it can be read."""
        parse_memory(str(value))
        return str(value)


def _known_options() -> dict[str, OptionKind]:
    """Every option of every command, and what it takes in a file."""
    commands = (*main.commands.values(), *models.commands.values())
    params = (param for command in commands for param in command.params)
    return {str(p.name): _kind(p) for p in params if isinstance(p, click.Option)}


def _kind(option: click.Option) -> OptionKind:
    """What an option takes in a file."""
    if option.name == "model":
        return OptionKind.PAIRS
    if option.is_flag:
        return OptionKind.FLAG
    is_path = isinstance(option.type, click.Path)
    if option.multiple:
        return OptionKind.PATHS if is_path else OptionKind.TEXTS
    kinds = {click.INT: OptionKind.INTEGER, click.FLOAT: OptionKind.NUMBER}
    if isinstance(option.type, MemorySize):
        return OptionKind.SIZE
    return OptionKind.PATH if is_path else kinds.get(option.type, OptionKind.TEXT)


def _read_config(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Take the defaults of the other options from the file and see that no variable is mistyped."""
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


def _with(*options: Callable[[AnyCommand], AnyCommand]) -> Callable[[AnyCommand], AnyCommand]:
    """All the options as one decorator, shown in this order."""

    def decorate(command: AnyCommand) -> AnyCommand:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _choice(values: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([value.value for value in values])


# One option a line or two: a table to read, so the formatter leaves it alone.
# fmt: off
_option, _PATH = click.option, click.Path(path_type=Path)
_eager = partial(_option, is_eager=True, expose_value=False)
_speech = partial(_eager, is_flag=True, callback=_set_output, show_default="off")
_flag = partial(_option, is_flag=True, show_default="off")

_SPEAKING = _with(
    _eager("--config", type=_PATH, show_default="none", callback=_read_config,
           help="TOML file with options (video-quality = 18)."),
    _speech("--json", help="Write the result as JSON to stdout."),
    _speech("--quiet", help="No progress and no summary."),
    _speech("--debug", help="Tracebacks, and everything that is logged."),
    _option("--log-file", type=_PATH, show_default="none",
            help="File that gets everything that is logged."),
)
_MEDIA = _with(
    _option("-s", "--source", multiple=True, type=_PATH, show_default="none",
            help="Image of the face to put in; may be given more than once."),
    _option("-t", "--target", required=True, type=_PATH, help="Video or image to render."),
    _option("-o", "--output", required=True, type=_PATH, help="File to write."),
    _option("--overwrite/--no-overwrite", help="Replace an output that is there already."),
    _option("--video-stream", type=int, show_default="the main one",
            help="Index of the video stream among all streams of the file."),
    _option("--keep-audio/--no-audio", default=True, help="Keep the sound."),
    _flag("--keep-frames", help="Also write every output frame as PNG."),
    _flag("--nsfw-filter", help="Refuse pornography; looks at a frame every 2 s, and at sources."),
    _option("--c2pa-certificate", type=_PATH, show_default="none",
            help="PEM chain of certificates to sign the output with (C2PA)."),
    _option("--c2pa-key", type=_PATH, show_default="none", help="PEM private key that fits it."),
)
_FACES = _with(
    _option("--frame-processor", multiple=True, default=["face_swapper"], metavar="NAME",
            help="none, face_anonymizer, face_swapper or face_enhancer; several run in order."),
    _flag("--many-faces", help="Work on every face, not on one person."),
    _option("--detector", default="auto", metavar="NAME", help="auto, scrfd, yunet or cascade."),
    _option("--anonymizer-method", type=_choice(AnonymizeMethod), default="blur",
            help="What covers a face."),
    _option("--anonymizer-shape", type=_choice(MaskShape), default="ellipse",
            help="Outline of what covers a face."),
    _option("--anonymizer-padding", type=float, default=0.3,
            help="Share of the face box that is added on each side, 0 to 4."),
    _option("--enhancer-blend", type=float, default=0.8,
            help="Weight of the enhanced face, 0 to 1."),
    _option("--models-dir", type=_PATH, show_default="below the user's cache",
            help="Where model files lie."),
    _option("--model", multiple=True, metavar="KIND=PATH", show_default="from --models-dir",
            help="Model file for detector, recognizer, swapper, enhancer, parser or classifier."),
    _flag("--allow-unverified-models", help="Take model files of unknown hash."),
)
_FARM = _with(
    _option("--execution-provider", metavar="NAME", show_default="the best that loads",
            help="tensorrt, cuda, migraphx, rocm, coreml, openvino, directml or cpu."),
    _option("--execution-threads", type=int, show_default="by provider and cores",
            help="Threads of each worker's networks, 1 to 1024."),
    _option("--video-encoder", default="libx264", metavar="NAME",
            help="libx264, libx265, libvpx-vp9, ffv1, or a hardware encoder by its name."),
    _option("--video-quality", type=int, default=18,
            help="0 (bit-exact lossless) to 51 (smallest)."),
    _option("--encode-on", type=_choice(EncodeOn), default="worker",
            help="Encode chunks in the workers, or all in the final task."),
    _option("--max-memory", type=MemorySize(), show_default="1 GiB",
            help="Memory for one worker's frames: GiB (4), or 500M, 2G."),
    _option("--workers", type=int, show_default="by cores and GPUs", help="1 to 1024."),
    _option("--chunk-seconds", type=float, show_default="about a keyframe distance",
            help="Length of a chunk."),
    _option("--address", show_default="a local one for this run", help="Ray to render on."),
    _option("--job-dir", type=_PATH, show_default="beside the output",
            help="Folder for the job's chunks."),
    _option("--verify", type=_choice(VerifyLevel), default="quick",
            help="How much of the finished file is checked."),
)
# fmt: on


@click.group(cls=FarmGroup, context_settings={**_CONTEXT, "auto_envvar_prefix": None})
@click.version_option(farm_version(), message="facefarm %(version)s")
def main() -> None:
    """Render faces in videos, frame-exact, on one machine or many.

    Every option can also be set as FACEFARM_NAME in the environment (FACEFARM_VIDEO_QUALITY=18) or
    in the file of --config; the command line comes first, then the environment, then the file.
    """


@main.command(context_settings=_CONTEXT)
@_with(_MEDIA, _FACES, _FARM, _SPEAKING)
@click.pass_obj
def render(output: Output, /, log_file: Path | None, **values: Any) -> None:
    """Render the faces of a video or image."""
    with _logs(output, log_file):
        report, manifest = _render(output, build_settings(values))
        _show(output, report, manifest)


@main.command(context_settings=_CONTEXT)
@click.option("--at", type=click.FloatRange(min=0), default=0.0, help="Where to begin, in seconds.")
@click.option("-n", "--frames", type=click.IntRange(min=1), default=24, help="How many frames.")
@_with(_MEDIA, _FACES, _FARM, _SPEAKING)
@click.pass_obj
def preview(
    output: Output, /, log_file: Path | None, at: float, frames: int, **values: Any
) -> None:
    """Render a few frames to look at, before the whole."""
    with _logs(output, log_file):
        report, manifest = _render(output, build_settings(values), (at, frames))
        _show(output, report, manifest)


@main.command(context_settings=_CONTEXT)
@click.option(
    "-o", "--output", "folder", type=_PATH, default="facefarm-demo", help="Where to write."
)
@_SPEAKING
@click.pass_obj
def demo(output: Output, log_file: Path | None, folder: Path) -> None:
    """Render a built-in clip and check the result."""
    from farm.demo import check_demo, demo_lines, demo_settings, make_demo_clip

    with _logs(output, log_file):
        settings = demo_settings(folder)
        make_demo_clip(settings.target)
        report, manifest = _render(output, settings)
        check = check_demo(settings.target, settings.output)
        output.result({**manifest, "demo": check}, demo_lines(check, settings, report.fps))


@main.command(context_settings=_CONTEXT)
@click.option("--models-dir", type=_PATH, show_default="the user's cache", help="Where models lie.")
@_SPEAKING
@click.pass_obj
def doctor(output: Output, log_file: Path | None, models_dir: Path | None) -> int:
    """Say what this machine has and what is missing."""
    from farm.doctor import doctor_lines, examine, is_fit

    with _logs(output, log_file):
        findings = examine(models_dir)
        fit = is_fit(findings)
        output.result({"fit": fit, "findings": findings}, doctor_lines(findings))
        return 0 if fit else 3


@main.command(context_settings=_CONTEXT)
@click.argument("file", type=_PATH)
@click.option("--video-stream", type=int, show_default="the main one", help="Stream to look at.")
@_SPEAKING
@click.pass_obj
def probe(output: Output, log_file: Path | None, file: Path, video_stream: int | None) -> None:
    """Say what the farm sees in a file."""
    from scheduler.inspect import inspect_file

    with _logs(output, log_file):
        report = inspect_file(file, video_stream)
        output.result(report, probe_lines(to_jsonable(report)))


@main.command(context_settings=_CONTEXT)
@click.argument("file", type=_PATH)
@click.option("--rendered-from", type=_PATH, show_default="as the manifest says",
              help="File that it was rendered from, to compare.")  # fmt: skip
@_SPEAKING
@click.pass_obj
def verify(output: Output, log_file: Path | None, file: Path, rendered_from: Path | None) -> int:
    """Show and check the marks of an output: what altered it, and whether it is unchanged since."""
    from farm.marks.check import check_marks

    with _logs(output, log_file):
        report = check_marks(file, rendered_from)
        output.result(report, report.lines)
        return report.verdict.exit_code


@main.group(context_settings=_CONTEXT)
def models() -> None:
    """List, fetch, check and optimise model files."""


def _add_models_command(name: str, work: str, text: str, *options: Callable[[Any], Any]) -> None:
    """Add `facefarm models NAME`, which calls `work` of `farm.models.commands`."""

    @models.command(name, context_settings=_CONTEXT, help=text)
    @_with(*options, _option("--models-dir", type=_PATH, show_default="below the user's cache",
                             help="Where model files lie."), _SPEAKING)  # fmt: skip
    @click.pass_obj
    def run(output: Output, /, log_file: Path | None, **values: Any) -> int:
        from farm.models import commands

        with _logs(output, log_file):
            document, lines, code = getattr(commands, work)(say=output.progress, **values)
            output.result(document, lines)
            return int(code)


# fmt: off
_add_models_command("list", "list_models",
                    "Show the known models: licence, source, size, hash, and which are here.")
_add_models_command(
    "pull", "pull_models", "Fetch models by name, kind (swapper) or pack (buffalo_l).",
    click.argument("names", nargs=-1, required=True),
    _option("--from", "from_dir", type=_PATH, show_default="the network",
            help="Folder to take them from."),
)
_add_models_command("path", "path_of_model", "Print where a model lies, or the folder of all.",
                    click.argument("name", required=False))
_add_models_command("verify", "verify_models", "Hash models anew: the named, or all that are here.",
                    click.argument("names", nargs=-1))
_add_models_command(
    "optimize", "optimize_model",
    "Write a faster copy of a model; kept only if it comes near enough to its source.",
    click.argument("model"),
    _option("--precision", type=click.Choice(["fp16", "int8"]), required=True,
            help="Numbers to compute with."),
    _option("--calibrate", multiple=True, type=_PATH, show_default="a built-in portrait",
            help="Image or folder of faces, to calibrate with and compare on."),
    _option("-o", "--output", type=_PATH, show_default="NAME.int8.onnx beside the model",
            help="File to write."),
    _option("--kind", show_default="that of a known model", help="What a model of yours does."),
    _option("--execution-provider", metavar="NAME", default="cpu", help="What compares them."),
    _option("--execution-threads", type=int, show_default="one for each core",
            help="Threads of the networks."),
    _option("--overwrite/--no-overwrite", help="Replace a copy that is there already."),
    _flag("--allow-unverified-models", help="Take a model file of unknown hash."),
)
# fmt: on


def _render(
    output: Output, settings: RenderSettings, span: tuple[float, int] | None = None
) -> tuple[RenderReport, dict[str, Any]]:
    """Render a video on the farm or an image here, and write the manifest."""
    from farm.preflight import check_render, is_image

    check_environment()
    check_render(settings)
    limit = settings.max_memory_bytes
    with (
        open_display(sys.stderr, quiet=output.quiet, memory_limit_bytes=limit) as display,
        _ctrl_c() as stop,
    ):
        if span is None and is_image(settings.target):
            from farm.image_target import render_image

            report = render_image(settings, display)
        else:
            from cluster.render import render_video

            report = render_video(settings, display, span=span, stop=stop)
    manifest = build_manifest(settings, report, created=datetime.now(UTC))
    write_manifest(manifest_path(settings.output), manifest)
    return report, manifest


@contextmanager
def _ctrl_c() -> Iterator[StopRequest]:
    """The first Ctrl-C lets the chunks in hand be finished, the second stops at once."""
    stop = StopRequest()
    before = signal.signal(signal.SIGINT, lambda *_: stop.press())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _show(output: Output, report: RenderReport, manifest: dict[str, Any]) -> None:
    """Write the result; a source that did not decode as a whole has its own exit code."""
    output.result(manifest, summary_lines(report))
    if report.damage:
        raise DamagedSource(damage_message(report))


if __name__ == "__main__":
    main()
