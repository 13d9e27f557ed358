"""The subcommands of `facefarm models`, each as one call: options in, a document and lines out.

Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from farm.command import CommandResult, Say
from farm.models.download import DownloadProgress
from farm.models.inventory import (
    is_whole,
    model_path,
    pulled_lines,
    stock_lines,
    take_stock,
)
from farm.models.session import choose_provider
from farm.models.store import ModelStore
from farm.node.processor import usable_cores
from farm.options import Option

ModelsDir = Annotated[
    Path | None, Option(unset="below the user's cache", help="Where model files lie.")
]
_NOT_WHOLE = 3
_STEP_BYTES = 32 << 20


def list_models(*, models_dir: ModelsDir = None) -> CommandResult:
    """Every known model and how it stands here."""
    store = ModelStore(models_dir=models_dir, offline=True)
    items = take_stock(store)
    lines = [*stock_lines(items), f"models directory: {store.folder}"]
    document = {"models_dir": store.folder, "models": items}
    return CommandResult(document=document, lines=lines)


def pull_models(
    *,
    names: Annotated[tuple[str, ...], Option(positional=True, help="Names, kinds or packs.")],
    from_dir: Annotated[
        Path | None, Option(name="from", unset="the network", help="Folder to take them from.")
    ] = None,
    models_dir: ModelsDir = None,
    say: Say,
) -> CommandResult:
    """Fetch models; those that are here are only checked."""
    store = ModelStore(models_dir=models_dir, from_dir=from_dir, progress=_progress(say))
    take_stock(store, names=names)  # a mistyped name costs no download of those before it
    files = [file for name in names for file in store.pull(name)]
    return CommandResult(document={"models": files}, lines=pulled_lines(files))


def path_of_model(
    *,
    name: Annotated[str | None, Option(positional=True, help="Name of a model.")] = None,
    models_dir: ModelsDir = None,
) -> CommandResult:
    """Where a model that is here lies, or the models directory."""
    path = model_path(ModelStore(models_dir=models_dir, offline=True), name)
    return CommandResult(document={"path": path}, lines=[str(path)])


def verify_models(
    *,
    names: Annotated[tuple[str, ...], Option(positional=True, help="Names, kinds or packs.")] = (),
    models_dir: ModelsDir = None,
) -> CommandResult:
    """Hash models anew, those named or all that are here."""
    store = ModelStore(models_dir=models_dir, offline=True)
    items = take_stock(store, names=names, fresh=True)
    shown = items if names else [item for item in items if item.found_sha256]
    whole = is_whole(shown, asked=bool(names))
    lines = stock_lines(shown) if shown else [f"no known model is in {store.folder}"]
    return CommandResult(
        document={"whole": whole, "models": shown},
        lines=lines,
        exit_code=0 if whole else _NOT_WHOLE,
    )


def optimize_model(
    *,
    model: Annotated[str, Option(positional=True, help="Name or file of a model.")],
    precision: Annotated[str, Option(choices=("fp16", "int8"), help="Numbers to compute with.")],
    calibrate: Annotated[
        tuple[Path, ...],
        Option(
            unset="a built-in portrait",
            help="Image or folder of faces, to calibrate with and compare on.",
        ),
    ] = (),
    output: Annotated[
        Path | None,
        Option(short="o", unset="NAME.int8.onnx beside the model", help="File to write."),
    ] = None,
    kind: Annotated[
        str | None, Option(unset="that of a known model", help="What a model of yours does.")
    ] = None,
    execution_provider: Annotated[str, Option(metavar="NAME", help="What compares them.")] = "cpu",
    execution_threads: Annotated[
        int | None, Option(unset="one for each core", help="Threads of the networks.")
    ] = None,
    overwrite: Annotated[
        bool, Option(off="no-overwrite", help="Replace a copy that is there already.")
    ] = False,
    allow_unverified_models: Annotated[
        bool, Option(help="Take a model file of unknown hash.")
    ] = False,
    models_dir: ModelsDir = None,
    say: Say,
) -> CommandResult:
    """Write an optimised copy of a model."""
    from farm.models.derived import Precision
    from farm.models.optimize import (
        OptimizeSettings,
        model_to_optimize,
        optimize,
        optimize_lines,
    )

    store = ModelStore(models_dir=models_dir, allow_unverified=allow_unverified_models)
    file = model_to_optimize(store, model, kind)
    settings = OptimizeSettings(
        precision=Precision(precision),
        output=output,
        calibrate=tuple(calibrate),
        threads=execution_threads or usable_cores(),
        provider=choose_provider(execution_provider),
        overwrite=overwrite,
    )
    report = optimize(file, store, settings, say)
    lines = optimize_lines(report, (output or file.path).parent)
    return CommandResult(document=report, lines=lines)


def _progress(say: Say) -> Callable[[DownloadProgress], None]:
    """Say every now and then how far a download is."""
    said: dict[str, int] = {}

    def tell(progress: DownloadProgress) -> None:
        step = progress.done_bytes // _STEP_BYTES
        if step > said.get(progress.name, 0) or progress.done_bytes == progress.total_bytes:
            said[progress.name] = step
            share = (
                f" ({progress.done_bytes / progress.total_bytes:.0%})"
                if progress.total_bytes
                else ""
            )
            say(f"{progress.name}: {progress.done_bytes >> 20} MiB{share}")

    return tell
