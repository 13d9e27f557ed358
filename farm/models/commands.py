"""The subcommands of `facefarm models`, each as one call: options in, a document and lines out.

Not for: reading options or writing results (`cli.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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

Say = Callable[[str], None]
Result = tuple[Any, Sequence[str], int]
"""What `--json` prints, the lines that are printed without it, and the exit code."""
_NOT_WHOLE = 3
_STEP_BYTES = 32 << 20


def list_models(*, models_dir: Path | None, say: Say) -> Result:
    """Every known model and how it stands here."""
    store = ModelStore(models_dir=models_dir, offline=True)
    items = take_stock(store)
    lines = [*stock_lines(items), f"models directory: {store.folder}"]
    return {"models_dir": store.folder, "models": items}, lines, 0


def pull_models(
    *, names: Sequence[str], from_dir: Path | None, models_dir: Path | None, say: Say
) -> Result:
    """Fetch models; those that are here are only checked."""
    store = ModelStore(models_dir=models_dir, from_dir=from_dir, progress=_progress(say))
    take_stock(store, names=names)  # a mistyped name costs no download of those before it
    files = [file for name in names for file in store.pull(name)]
    return {"models": files}, pulled_lines(files), 0


def path_of_model(*, name: str | None, models_dir: Path | None, say: Say) -> Result:
    """Where a model that is here lies, or the models directory."""
    path = model_path(ModelStore(models_dir=models_dir, offline=True), name)
    return {"path": path}, [str(path)], 0


def verify_models(*, names: Sequence[str], models_dir: Path | None, say: Say) -> Result:
    """Hash models anew, those named or all that are here."""
    store = ModelStore(models_dir=models_dir, offline=True)
    items = take_stock(store, names=names, fresh=True)
    shown = items if names else [item for item in items if item.found_sha256]
    whole = is_whole(shown, asked=bool(names))
    lines = stock_lines(shown) if shown else [f"no known model is in {store.folder}"]
    return {"whole": whole, "models": shown}, lines, 0 if whole else _NOT_WHOLE


def optimize_model(
    *,
    model: str,
    precision: str,
    calibrate: Sequence[Path],
    output: Path | None,
    kind: str | None,
    execution_provider: str,
    execution_threads: int | None,
    overwrite: bool,
    allow_unverified_models: bool,
    models_dir: Path | None,
    say: Say,
) -> Result:
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
        threads=execution_threads or os.cpu_count() or 1,
        provider=choose_provider(execution_provider),
        overwrite=overwrite,
    )
    report = optimize(file, store, settings, say)
    return report, optimize_lines(report, (output or file.path).parent), 0


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
